"""A store as `rerankd ingest` fills it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol
from uuid import UUID, uuid5

from app.errors import UpstreamFailed
from app.retrieval.store import Candidate

# Ids of chunks are UUIDs of this namespace.
CHUNK_NAMESPACE = UUID("7b1e62c0-5c0f-4d43-9b0e-6f2f3d2c9a11")


def uuid_of(name: str) -> str:
    """The id of a chunk in stores whose ids are UUIDs only; the chunk's own is beside it."""
    return str(uuid5(CHUNK_NAMESPACE, name))


class Held(NamedTuple):
    """A chunk in a store. `rerankd ingest` writes both names; other programs may not."""

    id: str
    source: str | None
    parent_doc_id: str | None


def held_as(name: str, facts: Mapping[str, Any]) -> Held:
    """What other programs wrote may have values of any type under these names."""
    source, parent = facts.get("source"), facts.get("parent_doc_id")
    return Held(
        name,
        source if isinstance(source, str) else None,
        parent if isinstance(parent, str) else None,
    )


def check_size(store: str, held: int, received: int) -> None:
    if held != received:
        raise UpstreamFailed(
            f"{store} has vectors of another embedder, of {held} numbers and not {received}: set "
            "that one as RERANKD_EMBEDDER, or another RERANKD_COLLECTION",
            upstream=store,
        )


class StoreWriter(Protocol):
    """A collection that can be written. Raises the same errors as a store."""

    name: str
    wants_vectors: bool

    async def held(self) -> list[Held]: ...

    async def put(self, chunks: Sequence[Candidate], vectors: Sequence[Sequence[float]]) -> None:
        """`vectors` is empty if none are wanted. A chunk that has the id of another replaces it."""
        ...

    async def remove(self, ids: Sequence[str]) -> None: ...

    async def close(self) -> None: ...
