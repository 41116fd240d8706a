"""The types of the domain: queries, documents, results and rankings."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from app.text import Side

ScoreKind = Literal["probability", "logit", "calibrated"]
LongDocuments = Literal["cut", "windows"]
RankerChoice = Literal["local", "fallback"]

# The logit of a document that is empty or cannot be scored: below every logit of a model, but still
# a valid number in JSON.
UNSCORED = -100.0

# Of a probability in a record; engines agree in fewer.
SCORE_DECIMALS = 6

# The maximum number of windows for a long document; 0: the document is cut.
WINDOWS: Mapping[LongDocuments, int] = {"cut": 0, "windows": 256}


@dataclass(frozen=True, slots=True)
class Document:
    text: str
    id: str | int | None = None
    body: Any = None  # as the caller sent it, echoed unchanged


@dataclass(frozen=True, slots=True)
class SpansWanted:
    """Return sentences that score at least `threshold`, at most `most` of each document."""

    threshold: float
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Query:
    """One request, independent of its wire format."""

    text: str
    documents: Sequence[Document]
    top_n: int | None = None
    min_score: float | None = None
    score: ScoreKind = "probability"
    truncate: bool = True
    cut: Side = "right"
    windows: int | None = (
        None  # maximum for a long document; 0: the document is cut; None: the default
    )
    document_tokens: int = 0  # maximum per document; 0: the maximum of the model
    instruction: str | None = None
    timeout: float | None = None
    priority: int = 0
    spans: SpansWanted | None = None
    caller: str = ""  # cached scores are separate for each caller; empty: shared by all
    ranker: RankerChoice | None = None  # None: the fallback ranks if the local model cannot
    via: Sequence[str] = ()  # marks of the services that forwarded the request
    return_documents: bool = False
    diagnostics: bool = False
    prefilter: int | None = None  # how many documents the model scores; None: all
    explain: bool = False  # return what was read of each document, and the score of its parts


@dataclass(frozen=True, slots=True)
class Result:
    index: int
    score: float


@dataclass(frozen=True, slots=True)
class Span:
    """Part of a document, in code points; the end is exclusive."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of a document: from `start` to `end`, in code points.

    `tokens` are those of the whole document, `read_tokens` those that were read.
    """

    tokens: int
    read_tokens: int
    start: int
    end: int
    windows: Sequence[Span] = ()  # empty if it was read as one text


@dataclass(frozen=True, slots=True)
class Usage:
    """Counts for the request. Every list holds document indices in ascending order."""

    tokens: int = 0
    truncated: Sequence[int] = ()
    empty: Sequence[int] = ()
    failed: Sequence[int] = ()
    duplicates: int = 0
    cached: int = 0
    unscored: int = 0  # left out by the prefilter


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds. The rest of `total` is overhead of the service."""

    tokenize: float = 0.0
    queue: float = 0.0
    compute: float = 0.0
    total: float = 0.0


@dataclass(frozen=True, slots=True)
class Ranking:
    query: Query
    results: Sequence[Result]
    logits: Sequence[float]  # of every document, in the order of the request
    usage: Usage = field(default_factory=Usage)
    times: Times = field(default_factory=Times)
    warnings: Sequence[str] = ()
    spans: Mapping[int, Sequence[Span]] = field(default_factory=dict)  # by document index
    readings: Mapping[int, Reading] = field(default_factory=dict)  # by document index
    model: str = ""
    by: str = ""  # the other service that scored, if one did


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
