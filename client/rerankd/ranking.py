"""The types of a ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeAlias, TypedDict, TypeVar

from rerankd.fields import Fields

Document: TypeAlias = str | Mapping[str, Any]
DocumentT = TypeVar("DocumentT", bound=Document)
DocumentT_co = TypeVar("DocumentT_co", bound=Document, covariant=True)
ScoreKind: TypeAlias = Literal["probability", "logit", "calibrated"]


class RerankOptions(TypedDict, total=False):
    """Fields of `POST /rerank`; those that are absent are decided by the service."""

    score: ScoreKind
    min_score: float
    truncate: bool
    truncation_direction: Literal["left", "right"]
    long_documents: Literal["cut", "windows"]
    instruction: str
    priority: int
    ranker: Literal["local", "fallback"]
    diagnostics: bool
    prefilter: int
    explain: bool


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a document in code points, with its score; the end is exclusive."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What the model read of a document."""

    tokens: int
    read_tokens: int
    start: int
    end: int
    windows: tuple[Span, ...]
    sentences: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Result(Generic[DocumentT_co]):
    """A document and its score. `index` is its position in the list of the call.

    `document` is the object of the call itself, with all metadata, which was not sent.
    """

    index: int
    score: float
    document: DocumentT_co
    reading: Reading | None = None

    @property
    def text(self) -> str:
        return text_of(self.document)


@dataclass(frozen=True, slots=True)
class Usage:
    """Lists hold positions in the list of the call, in ascending order."""

    total_tokens: int
    documents: int
    truncated_documents: tuple[int, ...] = ()
    failed_documents: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """Sums over the parts of a list that was split."""

    tokenize_ms: float
    queue_ms: float
    compute_ms: float
    total_ms: float
    duplicates: int
    cached: int


@dataclass(frozen=True, slots=True)
class Ranking(Generic[DocumentT_co]):
    """Results from best to worst. `parts`: into how many requests the list was split."""

    id: str
    model: str
    score: str
    results: tuple[Result[DocumentT_co], ...]
    usage: Usage
    reranked_by: str | None = None
    warnings: tuple[str, ...] = ()
    diagnostics: Diagnostics | None = None
    parts: int = 1

    @property
    def documents(self) -> list[DocumentT_co]:
        """The documents from best to worst."""
        return [result.document for result in self.results]


def text_of(document: Document) -> str:
    return document if isinstance(document, str) else str(document["text"])


def read_span(fields: Fields) -> Span:
    return Span(fields.whole("start"), fields.whole("end"), fields.number("score"))


def read_reading(fields: Fields) -> Reading:
    return Reading(
        fields.whole("tokens"),
        fields.whole("read_tokens"),
        fields.whole("start"),
        fields.whole("end"),
        fields.items("windows", read_span),
        fields.items("sentences", read_span),
    )


def read_diagnostics(fields: Fields) -> Diagnostics:
    return Diagnostics(
        fields.number("tokenize_ms"),
        fields.number("queue_ms"),
        fields.number("compute_ms"),
        fields.number("total_ms"),
        fields.whole("duplicates"),
        fields.whole("cached"),
    )


def sum_of(parts: Sequence[Diagnostics]) -> Diagnostics | None:
    if not parts:
        return None
    return Diagnostics(
        sum(part.tokenize_ms for part in parts),
        sum(part.queue_ms for part in parts),
        sum(part.compute_ms for part in parts),
        sum(part.total_ms for part in parts),
        sum(part.duplicates for part in parts),
        sum(part.cached for part in parts),
    )
