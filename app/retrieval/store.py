"""What a first stage is asked for and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

COLLECTION = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"
MAX_FILTERS = 32
MAX_FILTER_NAME = 128  # characters
MAX_FILTER_TEXT = 4096  # characters


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage as a store holds it. `metadata` may have source, section, doc_id and more."""

    id: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    score: float | None = None  # the store's own; higher is better, whatever its scale

    @property
    def body(self) -> str:
        """The text without the titles of its section, which `rerankd ingest` puts above it."""
        return self.text.removeprefix(f"{self.metadata.get('section', '')}\n\n")


@dataclass(frozen=True, slots=True)
class Search:
    """`vector` is there for stores that read vectors. Filters ask for equal metadata values."""

    text: str
    k: int
    vector: Sequence[float] | None = None
    filters: Mapping[str, Any] = field(default_factory=dict)
    collection: str | None = None


class Store(Protocol):
    """One first stage.

    Fails with UpstreamFailed or UpstreamTimeout, or with InvalidRequest for a search that it cannot
    put into words, and nothing else.
    """

    name: str
    reads: Literal["words", "vector"]

    async def search(self, search: Search) -> list[Candidate]:
        """Best first, at most `k`."""
        ...

    async def close(self) -> None: ...
