"""A store as `rerankd ingest` writes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from app.errors import UpstreamFailed
from app.retrieval.store import Candidate

CHUNK_NAMESPACE = UUID("7b1e62c0-5c0f-4d43-9b0e-6f2f3d2c9a11")  # ids of chunks are made in it


class Held(NamedTuple):
    """A chunk that a store has. Without both names it is not from `rerankd ingest`."""

    id: str
    source: str | None
    parent_doc_id: str | None


def held_as(name: str, facts: Mapping[str, Any]) -> Held:
    """What others wrote may have values of any type under these names."""
    source, parent = facts.get("source"), facts.get("parent_doc_id")
    return Held(
        name,
        source if isinstance(source, str) else None,
        parent if isinstance(parent, str) else None,
    )


def check_size(store: str, held: int, given: int) -> None:
    if held != given:
        raise UpstreamFailed(
            f"{store} has vectors of another embedder, of {held} numbers and not {given}: set "
            "that one as RERANKD_EMBEDDER, or another RERANKD_COLLECTION",
            upstream=store,
        )


class StoreWriter(Protocol):
    """One collection. Fails as a store does."""

    name: str
    wants_vectors: bool

    async def held(self) -> list[Held]: ...

    async def put(self, chunks: Sequence[Candidate], vectors: Sequence[Sequence[float]]) -> None:
        """`vectors` is empty where none are wanted. A chunk with a known id is replaced."""
        ...

    async def remove(self, ids: Sequence[str]) -> None: ...

    async def close(self) -> None: ...
