"""What only the FAISS store has: cosines, filters by a bitmap, and collections in memory."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import LoadFailed, UpstreamFailed, UpstreamTimeout
from app.retrieval.opening import open_retriever
from app.retrieval.store import Candidate, Search
from app.retrieval.stores import faiss as faiss_store
from app.retrieval.stores.faiss import FaissStore, FaissWriter, Worker
from app.retrieval.stores.faiss_collection import Collection, Version, unit_vectors
from tests.answer.upstreams import EMBEDDER
from tests.retrieval.directions import (
    EAST,
    PASSAGES,
    VECTORS,
    WEST,
    fill,
    ids,
    search_once,
    versions,
)
from tests.retrieval.stage import stage_of

pytestmark = pytest.mark.anyio


async def test_the_score_is_the_cosine_of_the_vectors(tmp_path: Path) -> None:
    await fill(tmp_path)
    store = FaissStore(tmp_path, "docs", 60)
    candidates = await store.search(Search("a direction", 3, [5.0, 0.0]))
    await store.close()
    assert [(candidate.id, candidate.score) for candidate in candidates] == [
        ("east", 1.0),
        ("north", 0.0),
        ("west", -1.0),
    ]
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
    ],
)
async def test_filters_require_equal_values(
    tmp_path: Path, filters: dict[str, Any], expected: list[str]
) -> None:
    await fill(tmp_path)
    assert await search_once(tmp_path, **filters) == expected


async def test_values_that_are_neither_texts_nor_numbers_match_no_filter(tmp_path: Path) -> None:
    odd = [None, [1], {"a": 1}, True]
    passages = [Candidate(str(row), "text", {"v": value}) for row, value in enumerate(odd)]
    await fill(tmp_path, passages, [EAST] * 4)
    assert await search_once(tmp_path, v=1) == []
    assert await search_once(tmp_path, v=True) == ["3"]


async def test_a_match_that_is_the_farthest_of_thousands_is_returned(tmp_path: Path) -> None:
    near = [Candidate(str(row), "near", {"rare": False}) for row in range(5000)]
    passages = [*near, Candidate("far", "far", {"rare": True})]
    await fill(tmp_path, passages, [*([EAST] * 5000), WEST])
    assert await search_once(tmp_path, k=1, rare=True) == ["far"]


@given(
    codes=st.lists(st.integers(0, 3), min_size=1, max_size=60),
    wanted=st.integers(0, 4),
    k=st.integers(1, 70),
)
@settings(max_examples=60, deadline=None)
def test_a_filtered_search_is_a_search_of_the_matches(
    codes: list[int], wanted: int, k: int
) -> None:
    """Compared with a search without FAISS."""
    vectors = unit_vectors(np.random.default_rng(len(codes)).normal(size=(len(codes), 3)).tolist())
    index = faiss.IndexFlatIP(3)
    index.add(vectors)
    passages = [Candidate(str(row), "text", {"code": code}) for row, code in enumerate(codes)]
    version = Version(
        name="0" * 32, vector_size=3, passages=len(codes), index_sha256="", passages_sha256=""
    )
    candidates = Collection(version, index, passages).search(vectors[:1], k, {"code": wanted})
    scores = vectors @ vectors[0]
    matches = [row for row, code in enumerate(codes) if code == wanted]
    best = sorted((float(scores[row]) for row in matches), reverse=True)[:k]
    assert [candidate.score for candidate in candidates] == pytest.approx(best, abs=1e-6)
    assert {int(candidate.id) for candidate in candidates} <= set(matches)


async def test_collections_of_a_folder_are_separate(tmp_path: Path) -> None:
    await fill(tmp_path)
    await fill(tmp_path, [Candidate("other", "Elsewhere.")], [[1.0, 0.0, 0.0]], "others")
    store = FaissStore(tmp_path, "docs", 60)
    assert await ids(store, k=1) == ["east"]
    assert await ids(store, [1.0, 0.0, 0.0], collection="others") == ["other"]
    await store.close()


async def test_only_a_few_collections_stay_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faiss_store, "MAX_COLLECTIONS_IN_MEMORY", 2)
    store = FaissStore(tmp_path, "docs", 60)
    for name in ("a", "b", "c"):
        await fill(tmp_path, collection=name)
        assert await ids(store, k=1, collection=name) == ["east"]
    assert list(store._loaded) == ["b", "c"]
    assert await ids(store, k=1, collection="a") == ["east"]
    assert list(store._loaded) == ["c", "a"]
    await store.close()


async def test_what_is_written_again_is_replaced_and_what_is_removed_is_gone(
    tmp_path: Path,
) -> None:
    await fill(tmp_path)
    writer = FaissWriter(tmp_path, "docs", 60)
    await writer.put([Candidate("east", "Now in the west.", {"n": 9})], [WEST])
    await writer.remove(["north", "never there"])
    await writer.close()
    assert sorted(await search_once(tmp_path)) == ["east", "west"]
    assert await search_once(tmp_path, n=9) == ["east"]
    assert await search_once(tmp_path, n=1) == []
    assert len(versions(tmp_path)) == 1


async def test_a_query_of_another_embedder_is_refused(tmp_path: Path) -> None:
    await fill(tmp_path)
    with pytest.raises(UpstreamFailed, match="of 2 numbers and not 3: set that one as RERANKD_EMB"):
        await search_once(tmp_path, vector=[1.0, 0.0, 0.0])


async def test_an_emptied_collection_is_empty_and_takes_another_embedder(tmp_path: Path) -> None:
    await fill(tmp_path)
    writer = FaissWriter(tmp_path, "docs", 60)
    await writer.remove([held.id for held in await writer.held()])
    await writer.close()
    assert await search_once(tmp_path) == []
    await fill(tmp_path, PASSAGES[:1], [[1.0, 0.0, 0.0]])
    assert await search_once(tmp_path, vector=[1.0, 0.0, 0.0]) == ["east"]


async def test_a_collection_has_a_largest_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faiss_store, "MAX_PASSAGES", 3)
    writer = FaissWriter(tmp_path, "docs", 60)
    await writer.put(PASSAGES, VECTORS)
    await writer.put(PASSAGES[:1], VECTORS[:1])
    with pytest.raises(UpstreamFailed, match="a collection holds at most 3 chunks"):
        await writer.put([Candidate("more", "More.")], [EAST])
    assert len(await writer.held()) == 3
    await writer.close()


async def test_what_no_json_can_hold_is_replaced_or_refused(tmp_path: Path) -> None:
    nested: Any = "deep"
    for _ in range(200):
        nested = [nested]
    writer = FaissWriter(tmp_path, "docs", 60)
    await writer.put([Candidate("x", "half \ud83d", {"a\ud83d": float("nan")})], [EAST])
    with pytest.raises(UpstreamFailed, match="metadata of the chunk y are nested too deep"):
        await writer.put([Candidate("y", "text", {"a": nested})], [EAST])
    await writer.close()
    store = FaissStore(tmp_path, "docs", 60)
    (candidate,) = await store.search(Search("q", 5, EAST))
    await store.close()
    assert (candidate.text, candidate.metadata) == ("half ?", {"a?": None})


async def test_a_call_past_its_time_is_an_error_and_the_event_loop_goes_on() -> None:
    worker, released = Worker(0.05), threading.Event()
    with pytest.raises(UpstreamTimeout, match="faiss did not answer within 50 ms"):
        await worker.run(released.wait)
    released.set()
    assert await worker.run(lambda: 7, limited=False) == 7
    worker.close()


async def test_many_searches_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    await fill(tmp_path)
    store = FaissStore(tmp_path, "docs", 60)
    results = await asyncio.gather(*(ids(store, vector, 1) for vector in VECTORS * 20))
    await store.close()
    assert results == [["east"], ["north"], ["west"]] * 20


async def test_a_missing_library_is_named_at_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    stage = stage_of([f"faiss:{tmp_path}"], embedder=EMBEDDER)
    with pytest.raises(LoadFailed, match=r"needs pip install 'rerankd\[faiss\]'"):
        async with open_retriever(stage):
            pass
