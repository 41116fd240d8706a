"""A store as `rerankd ingest` writes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from app.answer.candidate import Candidate


class Held(NamedTuple):
    """A chunk that a store has. Without both names it is not from `rerankd ingest`."""

    id: str
    source: str | None
    parent_doc_id: str | None


class Shelf(Protocol):
    """One collection. Fails as a store does."""

    name: str
    wants_vectors: bool

    async def held(self) -> list[Held]: ...

    async def put(self, chunks: Sequence[Candidate], vectors: Sequence[Sequence[float]]) -> None:
        """`vectors` is empty where none are wanted. A chunk with a known id is replaced."""
        ...

    async def remove(self, ids: Sequence[str]) -> None: ...

    async def close(self) -> None: ...
