"""Passages that are directions, with vectors of two numbers, in folders of the FAISS store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.retrieval.store import Candidate, Search
from app.retrieval.stores.faiss import FaissStore, FaissWriter

EAST, NORTH, WEST = [1.0, 0.0], [0.0, 3.0], [-2.0, 0.0]
PASSAGES = [
    Candidate("east", "Where the sun rises.", {"axis": "x", "n": 1}),
    Candidate("north", "Where the needle points.", {"axis": "y", "n": 2}),
    Candidate("west", "Where the sun sets.", {"axis": "x", "n": 3}),
]
VECTORS = [EAST, NORTH, WEST]


async def fill(
    folder: Path,
    passages: Sequence[Candidate] = PASSAGES,
    vectors: Sequence[Sequence[float]] = VECTORS,
    collection: str = "docs",
) -> None:
    writer = FaissWriter(folder, collection, 60)
    await writer.put(passages, vectors)
    await writer.close()


async def ids(
    store: FaissStore,
    vector: Sequence[float] = EAST,
    k: int = 5,
    collection: str | None = None,
    **filters: Any,
) -> list[str]:
    search = Search("a direction", k, vector, filters, collection)
    return [candidate.id for candidate in await store.search(search)]


async def search_once(folder: Path, **more: Any) -> list[str]:
    store = FaissStore(folder, "docs", 60)
    try:
        return await ids(store, **more)
    finally:
        await store.close()


def versions(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "docs").iterdir() if path.is_dir())
