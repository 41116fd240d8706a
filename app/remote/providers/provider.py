"""What a provider is: how a request is written, and how its answer is read. No network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, FiniteFloat

from app.rerank.query import Query

Body = dict[str, Any]
# What a query may want besides a ranking.
Option = Literal["cut", "windows", "document_tokens", "instruction"]


@dataclass(frozen=True, slots=True)
class ProviderRequest:
    """Some texts of a query, and the seconds that are left for them."""

    model: str
    query: Query
    texts: Sequence[str]
    seconds: float


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    """Indices are those of the request's texts."""

    scores: Sequence[tuple[int, float]]
    tokens: int = 0
    truncated: Sequence[int] = ()
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Provider:
    """Two pure functions, and what the service can do.

    `url` is the provider's own address; empty for a service that has none, which is named by its
    URL. `read` raises ValueError for an answer that it cannot read.
    """

    name: str
    url: str
    path: str
    max_documents: int
    write: Callable[[ProviderRequest], Body]
    read: Callable[[bytes], ProviderAnswer]
    options: AbstractSet[Option] = frozenset()
    gives_logits: bool = False


class ScoredIndex(BaseModel):
    index: int
    relevance_score: FiniteFloat


Count = Annotated[int, Field(ge=0)]


class TotalTokens(BaseModel):
    total_tokens: Count = 0


def pairs(scores: Sequence[ScoredIndex]) -> list[tuple[int, float]]:
    return [(score.index, score.relevance_score) for score in scores]
