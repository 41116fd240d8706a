"""Elasticsearch and OpenSearch filled: indexes of words, and what only these two refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from app.errors import UpstreamFailed
from app.ingest.chunking import Chunking, file_id
from app.ingest.syncing import Sync
from app.retrieval.opening import open_writer
from app.retrieval.store import Candidate
from tests.retrieval.stand_ins.filling import filled_stage, put, search, writer_at

pytestmark = pytest.mark.anyio

words = pytest.mark.parametrize("store_kind", ["elasticsearch", "opensearch"])


@words
async def test_without_an_embedder_words_are_enough(store_url: str, tmp_path: Path) -> None:
    note = tmp_path / "a.md"
    note.write_text("# Cats\nCats purr.")
    chunking = Chunking(lambda texts: [len(text.split()) for text in texts], 50, 5)

    async def sync() -> tuple[int, ...]:
        async with writer_at(store_url, embedder="") as writer:
            report = await Sync(writer, None, chunking).run([tmp_path])
        return report.new, report.changed, report.unchanged, report.removed

    assert await sync() == (1, 0, 0, 0)
    assert await sync() == (0, 0, 1, 0)
    note.write_text("# Cats\nCats hiss.")
    assert await sync() == (0, 1, 0, 0)
    (cats,) = await search(store_url, "hiss", source=note.as_posix())
    assert cats.text == "Cats\n\nCats hiss."
    assert cats.metadata["parent_doc_id"] == file_id(note.as_posix())
    assert await search(store_url, "purr") == []
    note.unlink()
    assert await sync() == (0, 0, 0, 1)


@words
async def test_words_of_an_index_with_vectors_come_without_their_vectors(store_url: str) -> None:
    async with writer_at(f"{store_url}?vector=embedding") as writer:
        await put(writer, Candidate("x", "cats", {"n": 1}))
    both = [await search(store_url), await search(f"{store_url}?vector=embedding")]
    assert [
        [(candidate.id, candidate.metadata) for candidate in candidates] for candidates in both
    ] == [[("x", {"n": 1})]] * 2


@words
async def test_a_passage_without_a_vector_is_not_held_once_vectors_are_wanted(
    store_url: str,
) -> None:
    async with writer_at(f"{store_url}?vector=embedding") as writer:
        await put(writer, Candidate("x", "cats"))
    async with writer_at(store_url, embedder="") as writer:
        await put(writer, Candidate("y", "cats"))
        assert len(await writer.held()) == 2
    async with writer_at(f"{store_url}?vector=embedding") as writer:
        assert [held.id for held in await writer.held()] == ["x"]


@words
async def test_the_reason_for_the_first_refused_chunk_is_in_the_error(store_url: str) -> None:
    mappings = {
        "date_detection": False,
        "properties": {"text": {"type": "text"}, "year": {"type": "long"}},
    }
    async with httpx.AsyncClient() as client:
        root = f"http{store_url[store_url.index(':') :]}/docs"
        made = await client.put(root, json={"settings": {}, "mappings": mappings})
        made.raise_for_status()
    async with writer_at(store_url) as writer:
        chunks = [Candidate("x", "cats", {"year": year}) for year in (2020, "old", "older")]
        named = [
            Candidate(str(position), chunk.text, chunk.metadata)
            for position, chunk in enumerate(chunks)
        ]
        with pytest.raises(UpstreamFailed) as caught:
            await put(writer, *named)
        assert str(caught.value).endswith(
            "refused 2 of 3 chunks, the first because of document_parsing_exception: failed to "
            "parse field [year] of type [long]"
        )
        assert [held.id for held in await writer.held()] == ["0"]


@words
async def test_an_index_that_cannot_be_created_names_the_setting(store_url: str) -> None:
    async with writer_at(store_url, collection="Docs") as writer:
        with pytest.raises(UpstreamFailed, match="RERANKD_COLLECTION must be in lower case"):
            await put(writer, Candidate("x", "cats"))


def scripted(*answers: Any) -> httpx.MockTransport:
    remaining = iter(answers)
    return httpx.MockTransport(lambda _: httpx.Response(200, json=next(remaining)))


def page(names: list[str], total: int, failed_shards: int = 0) -> dict[str, Any]:
    hits = [{"_id": name, "_source": {}} for name in names]
    return {
        "_scroll_id": "s",
        "_shards": {"failed": failed_shards},
        "hits": {"total": {"value": total}, "hits": hits},
    }


@pytest.mark.parametrize("store_kind", ["elasticsearch"])
@pytest.mark.parametrize(
    "pages", [[page(["a", "b"], 3), page([], 3)], [page(["a"], 1, failed_shards=1)]]
)
async def test_a_list_that_lacks_something_is_never_taken_for_all(
    store_kind: str, pages: list[Any]
) -> None:
    """Chunks that are not listed would never be replaced or removed."""
    stage = filled_stage(f"{store_kind}://store.test", embedder="")
    mapping: dict[str, Any] = {"docs": {"mappings": {}}}
    async with open_writer(stage, transport=scripted(mapping, *pages)) as (writer, _):
        with pytest.raises(UpstreamFailed, match="elasticsearch did not list all it has"):
            await writer.held()
