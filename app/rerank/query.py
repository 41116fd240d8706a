"""The words of the domain: what is asked, and what is answered."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

ScoreKind = Literal["probability", "logit", "calibrated"]
Side = Literal["left", "right"]
LongDocuments = Literal["cut", "windows"]

# What an empty document, or one that cannot be scored, is given: below anything a model says,
# and still a number in JSON.
UNSCORED = -100.0

# How many windows a long document may be read in.
WINDOWS: Mapping[LongDocuments, int] = {"cut": 0, "windows": 256}


@dataclass(frozen=True, slots=True)
class Document:
    text: str
    id: str | int | None = None
    body: Any = None  # as the caller sent it, to be echoed untouched


@dataclass(frozen=True, slots=True)
class SpansWanted:
    """Tell the sentences that score at least so much, at most so many for each document."""

    threshold: float
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """One request, whatever wire format it came in."""

    text: str
    documents: Sequence[Document]
    top_n: int | None = None
    min_score: float | None = None
    score: ScoreKind = "probability"
    truncate: bool = True
    cut: Side = "right"
    windows: int | None = None  # that a long document may be read in; 0: it is cut
    document_tokens: int = 0  # that a document may take; 0: what the model has
    instruction: str | None = None
    timeout: float | None = None
    priority: int = 0
    spans: SpansWanted | None = None
    caller: str = ""  # whose scores are kept apart; empty: everybody's are the same
    via: Sequence[str] = ()  # the services that passed it on, by their marks
    return_documents: bool = False
    diagnostics: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    index: int
    score: float


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a document, in code points, the end not included."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Usage:
    """What the request came to. Every list holds document indices, ascending."""

    tokens: int = 0
    truncated: Sequence[int] = ()
    empty: Sequence[int] = ()
    failed: Sequence[int] = ()
    duplicates: int = 0
    cached: int = 0


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds. What is not tokenizing, waiting or computing is the service's own overhead."""

    tokenize: float = 0.0
    queue: float = 0.0
    compute: float = 0.0
    total: float = 0.0


@dataclass(frozen=True, slots=True)
class Ranking:
    query: Query
    results: Sequence[Result]
    logits: Sequence[float]  # of every document, as given
    usage: Usage = field(default_factory=Usage)
    times: Times = field(default_factory=Times)
    warnings: Sequence[str] = ()
    spans: Mapping[int, Sequence[Span]] = field(default_factory=dict)  # by document index
    model: str = ""
    by: str = ""  # who scored, where it was another service


class Ranker(Protocol):
    async def rank(self, query: Query) -> Ranking: ...


def probability(logit: float) -> float:
    """The sigmoid, without overflow at either end."""
    if logit >= 0:
        return 1.0 / (1.0 + math.exp(-logit))
    odds = math.exp(logit)
    return odds / (1.0 + odds)


def present(
    logit: float, kind: ScoreKind, calibrate: Callable[[float], float] = probability
) -> float:
    if kind == "logit":
        return logit
    if logit == UNSCORED:
        return 0.0
    return calibrate(logit) if kind == "calibrated" else probability(logit)
