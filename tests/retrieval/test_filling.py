"""`rerankd ingest` fills stores that are replaced by servers of our own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.errors import UpstreamFailed
from app.ingest.chunking import Chunking
from app.ingest.syncing import Sync
from app.retrieval.opening import open_writer
from app.retrieval.store import Candidate
from app.retrieval.stores import (
    elasticsearch_writer,
    milvus,
    pinecone,
    qdrant,
    weaviate_writer,
)
from app.retrieval.writer import Held
from tests.retrieval.stand_ins.filling import (
    TLS,
    WITH_LAYOUT,
    Embedding,
    filled_stage,
    put,
    search,
    with_vectors,
    writer_at,
)

pytestmark = pytest.mark.anyio


def rows(count: int) -> list[Candidate]:
    return [Candidate(f"row-{number}", f"cats {number}", {"n": number}) for number in range(count)]


async def test_all_pages_are_listed(store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qdrant, "PAGE", 3)
    monkeypatch.setattr(elasticsearch_writer, "PAGE", 3)
    monkeypatch.setattr(weaviate_writer, "PAGE", 3)
    monkeypatch.setattr(milvus, "MAX_ROWS", 3)
    monkeypatch.setattr(pinecone, "PAGE", 3)
    async with writer_at(with_vectors(store_url)) as writer:
        for number in (3, 7):
            await put(writer, *rows(number))
            assert {held.id for held in await writer.held()} == {held.id for held in rows(number)}
        await writer.remove([held.id for held in rows(5)])
        assert {held.id for held in await writer.held()} == {"row-5", "row-6"}
        await writer.remove(["row-5", "never-there"])
        assert [held.id for held in await writer.held()] == ["row-6"]


with_layout = pytest.mark.parametrize("store_kind", WITH_LAYOUT)


@with_layout
async def test_passages_lie_where_the_address_says(store_url: str) -> None:
    at = f"{store_url}?text=body&metadata=facts&vector=dense"
    facts = {"text": "a", "source": "a.md", "parent_doc_id": "p", "year": 2020}
    async with writer_at(at) as writer:
        await put(writer, Candidate("x", "Cats purr.", facts))
        assert await writer.held() == [Held("x", "a.md", "p")]
    (cat,) = await search(at, year=2020)
    assert (cat.id, cat.text, cat.metadata) == ("x", "Cats purr.", facts)
    assert await search(at, year=2021) == []


@with_layout
async def test_metadata_that_would_hide_the_passage_are_refused(store_url: str) -> None:
    async with writer_at(with_vectors(store_url)) as writer:
        with pytest.raises(UpstreamFailed, match=r"in the field text, .* with \?metadata="):
            await put(writer, Candidate("x", "Cats purr.", {"text": "other"}))
        assert await writer.held() == []


@pytest.mark.parametrize(
    ("value", "other"), [(2020, 2021), (2.5, 2.25), ("2020-01-02", "cats"), (True, False)]
)
async def test_filters_know_every_kind_of_value(store_url: str, value: Any, other: Any) -> None:
    at = with_vectors(store_url)
    async with writer_at(at) as writer:
        await put(
            writer, Candidate("x", "cats", {"v": value}), Candidate("y", "cats", {"v": other})
        )
    assert [candidate.id for candidate in await search(at, v=value)] == ["x"]
    assert [candidate.metadata for candidate in await search(at, v=other)] == [{"v": other}]


async def test_one_name_may_have_values_of_several_kinds(store_url: str) -> None:
    at = with_vectors(store_url)
    async with writer_at(at) as writer:
        await put(writer, Candidate("x", "cats", {"v": 2020}), Candidate("y", "cats", {"v": "old"}))
    assert [candidate.id for candidate in await search(at, v=2020)] == ["x"]
    assert [candidate.id for candidate in await search(at, v="old")] == ["y"]


@with_layout
async def test_a_store_that_has_no_such_vectors_says_how_to_name_them(store_url: str) -> None:
    async with writer_at(with_vectors(store_url)) as writer:
        await put(writer, Candidate("x", "cats"))
    async with writer_at(f"{store_url}?vector=dense") as writer:
        with pytest.raises(UpstreamFailed, match=r"with \?vector=, or set another RERANKD_COLLECT"):
            await put(writer, Candidate("y", "cats"))


async def test_vectors_of_another_length_name_the_setting(store_url: str) -> None:
    async with writer_at(with_vectors(store_url)) as writer:
        await put(writer, Candidate("x", "cats"))
    async with writer_at(with_vectors(store_url)) as writer:
        with pytest.raises(UpstreamFailed, match="of 2 numbers and not 3: set that one as RERANKD"):
            await writer.put([Candidate("y", "cats")], [[1.0, 2.0, 3.0]])
        assert [held.id for held in await writer.held()] == ["x"]


async def test_what_other_programs_wrote_stays(store_url: str, tmp_path: Path) -> None:
    """Theirs may say anything under our names."""
    sources: Sequence[dict[str, Any]] = [{"source": 7, "parent_doc_id": 7}, {}]
    theirs = [Candidate(f"t{number}", "cats", facts) for number, facts in enumerate(sources)]
    note = tmp_path / "a.txt"
    note.write_text("cats")
    chunking = Chunking(lambda texts: [len(text.split()) for text in texts], 50, 5)
    stage = filled_stage(with_vectors(store_url))
    async with open_writer(stage, transport=Embedding(verify=TLS)) as (writer, embedder):
        await put(writer, *theirs)
        for _ in range(2):
            await Sync(writer, embedder, chunking).run([tmp_path])
        note.unlink()
        report = await Sync(writer, embedder, chunking).run([tmp_path])
        assert report.removed == 1
        assert {held.id for held in await writer.held()} == {"t0", "t1"}


JUNK: Sequence[Any] = (None, [], 7, {}, {"result": []}, {"docs": 1}, {"items": 1, "errors": True})


@pytest.mark.parametrize("junk", JUNK)
async def test_junk_is_an_error_that_says_so(store_kind: str, junk: Any) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=junk))
    async with open_writer(filled_stage(f"{store_kind}://store.test"), transport=transport) as (
        writer,
        _,
    ):
        for ask in (writer.held, lambda: put(writer, Candidate("x", "cats"))):
            with pytest.raises(
                UpstreamFailed, match=f"{store_kind} answered JSON that is not what"
            ):
                await ask()


@pytest.mark.parametrize("store_kind", ["qdrant"])
async def test_a_point_of_others_keeps_its_own_id(store_url: str) -> None:
    """Also where its payload has our name by chance."""
    async with writer_at(store_url) as writer:
        await put(writer, Candidate("ours", "cats", {"n": 1}))
    theirs = {"rerankd_id": "ours", "text": "more cats"}
    async with httpx.AsyncClient() as client:
        root = f"http{store_url[store_url.index(':') :]}/collections/docs/points?wait=true"
        points = [{"id": 42, "vector": [0.1, 0.2], "payload": theirs}]
        (await client.put(root, json={"points": points})).raise_for_status()
    assert {(candidate.id, *candidate.metadata) for candidate in await search(store_url)} == {
        ("42", "rerankd_id"),
        ("ours", "n"),
    }
    async with writer_at(store_url) as writer:
        await writer.remove(["42", "ours"])
        assert [held.id for held in await writer.held()] == ["42"]
