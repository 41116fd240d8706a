"""What only LanceDB has: tables of other programs, and a folder that several processes share."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from typing import Any

import lancedb
import pyarrow as pa
import pytest

from app.errors import LoadFailed, UpstreamFailed, UpstreamTimeout
from app.retrieval.opening import open_retriever, open_writer
from app.retrieval.store import Candidate, Search
from app.retrieval.stores.lancedb_table import Folder, LanceDBStore, LanceDBWriter
from app.retrieval.writer import Held
from tests.answer.upstreams import EMBEDDER
from tests.retrieval.directions import EAST, NORTH, PASSAGES, VECTORS
from tests.retrieval.stage import stage_of

pytestmark = pytest.mark.anyio


async def fill(folder: Path, passages: list[Candidate] = PASSAGES, **options: str) -> None:
    writer = LanceDBWriter(Folder(folder, 60), "docs", options)
    await writer.put(passages, VECTORS[: len(passages)])
    await writer.close()


async def search(
    folder: Path, near: list[float] = EAST, k: int = 5, name: str = "docs", **options: Any
) -> list[Candidate]:
    filters = options.pop("filters", {})
    store = LanceDBStore(Folder(folder, 60), name, options)
    try:
        return await store.search(Search("a direction", k, near, filters))
    finally:
        await store.close()


async def ids(folder: Path, **more: Any) -> list[str]:
    return [candidate.id for candidate in await search(folder, **more)]


async def test_the_score_is_the_cosine_of_the_vectors(tmp_path: Path) -> None:
    await fill(tmp_path)
    candidates = await search(tmp_path)
    assert [candidate.id for candidate in candidates] == ["east", "north", "west"]
    assert [candidate.score for candidate in candidates] == pytest.approx([1.0, 0.0, -1.0])
    assert (candidates[0].text, candidates[0].metadata) == (PASSAGES[0].text, PASSAGES[0].metadata)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"axis": "x"}, ["east", "west"]),
        ({"axis": "x", "n": 3}, ["west"]),
        ({"n": 3.0}, ["west"]),
        ({"n": True}, []),
        ({"n": "3"}, []),
        ({"nowhere": 1}, []),
        ({"axis": "x' or 'a' = 'a"}, []),
        ({"axis') or true --": 1}, []),
    ],
)
async def test_filters_require_equal_values(
    tmp_path: Path, filters: dict[str, Any], expected: list[str]
) -> None:
    await fill(tmp_path)
    assert await ids(tmp_path, filters=filters) == expected


async def test_one_name_may_have_values_of_several_kinds(tmp_path: Path) -> None:
    odd: list[Any] = ["it's", {"a": [None]}, 2]
    passages = [Candidate(f"i'{row}", "text", {"v": value}) for row, value in enumerate(odd)]
    await fill(tmp_path, passages)
    assert await ids(tmp_path, filters={"v": "it's"}) == ["i'0"]
    assert await ids(tmp_path, filters={"v": 2}) == ["i'2"]
    assert {candidate.id: candidate.metadata["v"] for candidate in await search(tmp_path)} == {
        f"i'{row}": value for row, value in enumerate(odd)
    }
    writer = LanceDBWriter(Folder(tmp_path, 60), "docs", {})
    await writer.remove(["i'0", "never there"])
    await writer.close()
    assert sorted(await ids(tmp_path)) == ["i'1", "i'2"]


async def test_a_service_that_runs_finds_what_is_ingested_meanwhile(tmp_path: Path) -> None:
    await fill(tmp_path, PASSAGES[:1])
    store = LanceDBStore(Folder(tmp_path, 60), "docs", {})
    query = Search("a direction", 5, EAST)
    assert len(await store.search(query)) == 1
    await fill(tmp_path)
    assert len(await store.search(query)) == 3
    await store.close()


async def test_a_search_leaves_a_folder_that_is_missing_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    with pytest.raises(UpstreamFailed, match="no such collection: `rerankd ingest` makes it"):
        await search(folder)
    assert not folder.exists()


async def test_batches_are_joined_at_the_end_of_an_ingest(tmp_path: Path) -> None:
    writer = LanceDBWriter(Folder(tmp_path, 60), "docs", {})
    for passage, vector in zip(PASSAGES, VECTORS, strict=True):
        await writer.put([passage], [vector])
    before = len(list((tmp_path / "docs.lance" / "data").iterdir()))
    await writer.close()
    connection = await lancedb.connect_async(tmp_path)
    table = await connection.open_table("docs")
    stats: Any = await table.stats()
    assert before == 3
    assert stats["fragment_stats"]["num_fragments"] == 1
    connection.close()  # type: ignore[no-untyped-call]


LANGCHAIN = [
    {"id": "a", "text": "near", "vector": EAST, "metadata": {"lang": "en", "n": 1}},
    {"id": "b", "text": "far", "vector": NORTH, "metadata": {"lang": "de", "n": 2}},
]
FLAT = [
    {"no": 1, "body": "near", "emb": EAST, "lang": "en", "odd name": "x"},
    {"no": 2, "body": "far", "emb": NORTH, "lang": "de", "odd name": "y"},
]
FLAT_NAMES: dict[str, Any] = {"id": "no", "text": "body", "vector": "emb"}


async def make(folder: Path, rows: list[dict[str, Any]], vector: str) -> None:
    """A table of another program."""
    connection = await lancedb.connect_async(folder)
    table = pa.Table.from_pylist(rows)
    vectors = pa.array([row[vector] for row in rows], pa.list_(pa.float32(), 2))
    position = table.schema.get_field_index(vector)
    await connection.create_table("docs", table.set_column(position, vector, vectors))
    connection.close()  # type: ignore[no-untyped-call]


async def test_a_table_as_langchain_makes_it_is_searched_and_filtered(tmp_path: Path) -> None:
    await make(tmp_path, LANGCHAIN, "vector")
    first, second = await search(tmp_path)
    assert (first.id, first.text, first.metadata) == ("a", "near", {"lang": "en", "n": 1})
    assert second.id == "b"
    assert await ids(tmp_path, filters={"lang": "de", "n": 2}) == ["b"]
    assert await ids(tmp_path, filters={"nowhere": 1}) == []


async def test_the_columns_of_a_table_are_metadata_where_it_has_no_struct(tmp_path: Path) -> None:
    await make(tmp_path, FLAT, "emb")
    first, _ = await search(tmp_path, **FLAT_NAMES)
    assert (first.id, first.text) == ("1", "near")
    assert first.metadata == {"lang": "en", "odd name": "x"}
    assert await ids(tmp_path, filters={"lang": "de", "odd name": "y"}, **FLAT_NAMES) == ["2"]
    with pytest.raises(UpstreamFailed, match=r"no vectors in the column vector: .* \?vector="):
        await search(tmp_path)


async def test_a_table_of_another_program_is_never_written(tmp_path: Path) -> None:
    await make(tmp_path, LANGCHAIN, "vector")
    writer = LanceDBWriter(Folder(tmp_path, 60), "docs", {})
    with pytest.raises(UpstreamFailed, match="another program made this collection"):
        await writer.held()
    with pytest.raises(UpstreamFailed, match="another program made this collection"):
        await writer.put(PASSAGES[:1], [EAST])
    await writer.close()
    assert len(await search(tmp_path)) == 2


async def test_columns_of_our_own_table_can_have_other_names(tmp_path: Path) -> None:
    names: dict[str, Any] = {"id": "no", "text": "body", "vector": "emb", "metadata": "facts"}
    facts = {"source": "a.md", "parent_doc_id": "p"}
    await fill(tmp_path, [Candidate("x", "cats", facts)], **names)
    (candidate,) = await search(tmp_path, **names)
    assert (candidate.id, candidate.text, candidate.metadata) == ("x", "cats", facts)
    writer = LanceDBWriter(Folder(tmp_path, 60), "docs", names)
    assert await writer.held() == [Held("x", "a.md", "p")]
    await writer.close()


@pytest.mark.parametrize("option", ["text=id", "vector=rerankd_labels", "colour=red"])
async def test_columns_that_cannot_be_written_are_refused(tmp_path: Path, option: str) -> None:
    stage = stage_of([f"lancedb:{tmp_path}?{option}"], embedder=EMBEDDER)
    with pytest.raises(LoadFailed, match="setting store: "):
        async with open_writer(stage):
            pass


# --- Faults: what is down, slow, junk or of another size -----------------------------------


async def test_a_damaged_table_is_an_error_with_a_reason(tmp_path: Path) -> None:
    await fill(tmp_path)
    for file in (tmp_path / "docs.lance" / "data").iterdir():
        file.write_bytes(b"junk")
    with pytest.raises(UpstreamFailed, match="lancedb: the library failed with"):
        await search(tmp_path)
    shutil.rmtree(tmp_path / "docs.lance" / "_versions")
    with pytest.raises(UpstreamFailed, match="lancedb: the library failed with"):
        await search(tmp_path)


async def test_metadata_that_are_not_json_are_an_error_that_says_so(tmp_path: Path) -> None:
    await fill(tmp_path, PASSAGES[:1])
    connection = await lancedb.connect_async(tmp_path)
    await (await connection.open_table("docs")).update({"metadata": "junk"})
    connection.close()  # type: ignore[no-untyped-call]
    with pytest.raises(UpstreamFailed, match="JSON that is not what was asked for"):
        await search(tmp_path)


async def test_a_call_past_its_time_is_an_error_and_the_event_loop_goes_on(tmp_path: Path) -> None:
    folder = Folder(tmp_path, 0.01)
    with pytest.raises(UpstreamTimeout, match="lancedb did not answer within 10 ms"):
        async with folder.calling():
            await asyncio.Event().wait()
    folder.close()


async def test_a_query_of_another_embedder_is_refused(tmp_path: Path) -> None:
    await fill(tmp_path)
    with pytest.raises(UpstreamFailed, match="of 2 numbers and not 3: set that one as RERANKD_EMB"):
        await search(tmp_path, near=[1.0, 0.0, 0.0])


async def test_many_searches_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    await fill(tmp_path)
    store = LanceDBStore(Folder(tmp_path, 60), "docs", {})
    queries = [Search("a direction", 1, vector) for vector in VECTORS * 20]
    results = await asyncio.gather(*map(store.search, queries))
    await store.close()
    assert [result[0].id for result in results] == ["east", "north", "west"] * 20


async def test_a_missing_library_is_named_at_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delitem(sys.modules, "app.retrieval.stores.lancedb_table")
    monkeypatch.setitem(sys.modules, "lancedb", None)
    stage = stage_of([f"lancedb:{tmp_path}"], embedder=EMBEDDER)
    with pytest.raises(LoadFailed, match=r"needs pip install 'rerankd\[lancedb\]'"):
        async with open_retriever(stage):
            pass
