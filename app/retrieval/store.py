"""What a store receives and what it returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

COLLECTION = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"
MAX_FILTERS = 32
MAX_FILTER_NAME = 128
MAX_FILTER_TEXT = 4096


@dataclass(frozen=True, slots=True)
class Candidate:
    """A passage of a store. `metadata` may have source, section, doc_id and more.

    `score` is the store's own: higher is better, and the scale may be any.
    """

    id: str
    text: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    score: float | None = None

    @property
    def body(self) -> str:
        """The text without the headings of its section, which `rerankd ingest` puts above it."""
        return self.text.removeprefix(f"{self.metadata.get('section', '')}\n\n")


@dataclass(frozen=True, slots=True)
class Search:
    """Only stores that read vectors receive `vector`. Filters require equal metadata values."""

    text: str
    k: int
    vector: Sequence[float] | None = None
    filters: Mapping[str, Any] = field(default_factory=dict)
    collection: str | None = None


class Store(Protocol):
    """Finds candidates.

    Raises only UpstreamFailed or UpstreamTimeout, or InvalidRequest for a search that it cannot
    express.
    """

    name: str
    reads: Literal["words", "vector"]

    async def search(self, search: Search) -> list[Candidate]:
        """Best first, at most `k`."""
        ...

    async def close(self) -> None: ...
