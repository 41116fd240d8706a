"""What the wire format of another reranker is: how it is asked, and how its answer is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, FiniteFloat

from app.rerank.query import Query

Body = dict[str, Any]
Wish = Literal["cut", "windows", "document_tokens", "instruction"]


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: some texts of a query, and the seconds that are left for them."""

    model: str
    query: Query
    texts: Sequence[str]
    seconds: float


@dataclass(frozen=True, slots=True)
class Told:
    """What the answer says. Every number is a place in the request's texts."""

    scores: Sequence[tuple[int, float]]
    tokens: int = 0
    truncated: Sequence[int] = ()
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Wire:
    """Two pure functions, and what the service can do. `read` raises ValueError for junk."""

    name: str
    url: str  # where the service is, unless told otherwise
    path: str
    most: int  # documents a request
    write: Callable[[Asked], Body]
    read: Callable[[bytes], Told]
    grants: AbstractSet[Wish] = frozenset()
    logits: bool = False  # else its scores are probabilities


class Score(BaseModel):
    index: int
    relevance_score: FiniteFloat


Count = Annotated[int, Field(ge=0)]


class Tokens(BaseModel):
    total_tokens: Count = 0


def pairs(scores: Sequence[Score]) -> list[tuple[int, float]]:
    return [(one.index, one.relevance_score) for one in scores]
