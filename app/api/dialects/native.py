"""The native format: a superset of the formats that clients of Cohere and Jina use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.api.dialects.dialect import Dialect, Label, as_object
from app.api.dialects.fields import DOCUMENTS, QUERY, WHOLE, Either, Lenient, Priority
from app.errors import InvalidRequest
from app.rerank.query import (
    WINDOWS,
    Document,
    LongDocuments,
    Query,
    RankerChoice,
    Ranking,
    Result,
    ScoreKind,
    Span,
)

EXAMPLE_ANSWER: JsonDict = {
    "id": "5f0c6a1e0a8f4d0b9a3c",
    "model": "rerankd-minilm",
    "score": "probability",
    "results": [
        {
            "index": 1,
            "relevance_score": 0.97,
            "id": "rules-7",
            "document": {"id": "rules-7", "text": "Books are lent for four weeks.", "page": 12},
        }
    ],
    "usage": {"total_tokens": 37, "documents": 2, "truncated": 0},
}

# Shown in `/docs`.
EXAMPLES: dict[str, dict[str, Any]] = {
    "texts": {
        "summary": "Only a query and texts",
        "value": {"query": QUERY, "documents": DOCUMENTS},
    },
    "objects": {
        "summary": "Objects with ids and metadata; the best one is returned",
        "value": {
            "query": QUERY,
            "documents": [
                {"id": "hours", "text": "The library opens at nine.", "page": 3},
                {"id": "rules-7", "text": "Books are lent for four weeks.", "page": 12},
            ],
            "top_n": 1,
            "return_documents": True,
        },
    },
    "threshold": {
        "summary": "Only documents that are probably relevant; long documents are refused",
        "value": {
            "query": QUERY,
            "documents": ["Books are lent for four weeks.", "Bananas are rich in potassium."],
            "min_score": 0.1,
            "truncate": False,
        },
    },
    "diagnostics": {
        "summary": "Ranks before and after, and the time of each stage",
        "value": {
            "query": QUERY,
            "documents": DOCUMENTS,
            "diagnostics": True,
            "timeout_ms": 5000,
            "priority": 1,
        },
    },
}


class NativeDocument(Lenient):
    model_config = ConfigDict(strict=True, extra="allow")

    text: str
    id: str | Annotated[int, WHOLE] | None = None


class NativeRequest(Lenient):
    query: Annotated[str, Field(pattern=r"\S", description="Query or question")]
    documents: Annotated[
        list[Either[str, NativeDocument]],
        Field(
            min_length=1,
            fail_fast=True,
            description="Candidates: texts, or objects with `text` and any other fields",
        ),
    ]
    top_n: Annotated[int, Field(ge=0), WHOLE] | None = Field(
        None, description="Maximum results; 0 or absent: all"
    )
    return_documents: bool | None = Field(None, description="Return each document unchanged")
    score: ScoreKind | None = Field(
        None,
        description="Kind of score: `probability` (the default) is between 0 and 1; `calibrated` "
        "is a probability fitted on labelled data, if a calibration is loaded",
    )
    min_score: float | None = Field(None, description="Minimum score of a result")
    truncate: bool | None = Field(
        None, description="Cut documents that are too long (the default), or refuse the request"
    )
    truncation_direction: Literal["left", "right"] | None = Field(
        None, description="Side of the document that is cut; `right` by default"
    )
    long_documents: LongDocuments | None = Field(
        None,
        description="Treatment of a document that is too long: cut, or read in overlapping windows "
        "of which the best score counts; by default the setting of the service",
    )
    instruction: str | None = Field(None, description="Instruction, for models that accept one")
    timeout_ms: Annotated[int, Field(ge=1), WHOLE] | None = Field(
        None, description="Time limit in milliseconds; above it: 504"
    )
    priority: Priority | None = Field(
        None, description="Priority in the queue; 0 (the default) is the highest"
    )
    ranker: RankerChoice | None = Field(
        None,
        description="Who ranks: `local`, only the model of this service, so that the texts stay "
        "here; `fallback`, only the service behind it, if the settings allow that; by default the "
        "fallback ranks when the local model cannot",
    )
    diagnostics: bool | None = Field(
        None, description="Return the ranks before and after, and the times"
    )
    prefilter: Annotated[int, Field(ge=1), WHOLE] | None = Field(
        None,
        description="Score only so many documents: those that resemble the query most by their "
        "words. At least `top_n`; the others are not in the results",
    )
    explain: bool | None = Field(
        None,
        description="Return what the model read of each document: tokens, the part that was read, "
        "windows, and all sentences, each with its score; costs about as much as the ranking",
    )


class Rank(BaseModel):
    before: int
    after: int
    change: int = Field(description="Ranks gained; negative: ranks lost")


class Part(BaseModel):
    start: int = Field(description="Position in the text of the document, in code points")
    end: int
    score: float


class ReadingBody(BaseModel):
    tokens: int = Field(description="Tokens of the whole document, without the query")
    read_tokens: int
    start: int = Field(description="Where the part that was read begins, in code points")
    end: int
    windows: list[Part] | None = Field(None, description="Absent if the text was read as one")
    sentences: list[Part] = Field(description="Best first")


class NativeResult(BaseModel):
    index: int = Field(description="Position in `documents` of the request, from 0")
    relevance_score: float
    id: str | int | None = Field(None, description="Id of the document, if it had one")
    document: dict[str, Any] | None = None
    rank: Rank | None = None
    reading: ReadingBody | None = None


class NativeUsage(BaseModel):
    total_tokens: int
    documents: int
    truncated: int
    truncated_documents: list[int] | None = Field(
        None, description="Indices of documents that were cut, if any"
    )
    failed_documents: list[int] | None = Field(
        None, description="Indices of documents that could not be scored; they rank last"
    )
    unscored: int | None = Field(
        None, description="Number of documents that `prefilter` left out, if any"
    )


class Diagnostics(BaseModel):
    tokenize_ms: float
    queue_ms: float
    compute_ms: float
    total_ms: float
    duplicates: int = Field(description="Number of documents equal to an earlier one")
    cached: int = Field(description="Number of texts whose score was in the cache")


class NativeAnswer(BaseModel):
    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE_ANSWER]})

    id: str
    model: str
    reranked_by: str | None = Field(None, description="Remote service that scored, if any")
    score: ScoreKind = Field(description="Kind of `relevance_score`")
    results: list[NativeResult]
    usage: NativeUsage
    warnings: list[str] | None = None
    diagnostics: Diagnostics | None = None


def parse(body: dict[str, Any]) -> Query:
    request = NativeRequest.model_validate(body)
    check_prefilter(request)
    return Query(
        text=request.query,
        documents=[
            Document(document, body=raw)
            if isinstance(document, str)
            else Document(document.text, document.id, raw)
            for document, raw in zip(request.documents, body["documents"], strict=True)
        ],
        top_n=request.top_n or None,
        min_score=request.min_score,
        score=request.score or "probability",
        truncate=request.truncate is not False,
        cut=request.truncation_direction or "right",
        windows=None if request.long_documents is None else WINDOWS[request.long_documents],
        instruction=request.instruction or None,
        timeout=request.timeout_ms / 1000 if request.timeout_ms else None,
        priority=request.priority or 0,
        ranker=request.ranker,
        return_documents=bool(request.return_documents),
        diagnostics=bool(request.diagnostics),
        explain=bool(request.explain),
        prefilter=request.prefilter,
    )


def check_prefilter(request: NativeRequest) -> None:
    """Who wants all documents, or more than are scored, would miss some of them."""
    if request.prefilter is None:
        return
    if not request.top_n:
        raise InvalidRequest("prefilter: it needs top_n", field="prefilter")
    if request.prefilter < request.top_n:
        raise InvalidRequest(
            f"prefilter: {request.prefilter} is less than top_n, {request.top_n}",
            field="prefilter",
            limit=request.top_n,
        )


def render(ranking: Ranking, label: Label) -> dict[str, Any]:
    query = ranking.query
    answer: dict[str, Any] = {
        "id": label.id,
        "model": label.model,
        **({"reranked_by": label.by} if label.by else {}),
        "score": query.score,
        "results": [
            render_result(query, result, rank) | render_reading(ranking, result.index)
            for rank, result in enumerate(ranking.results)
        ],
        "usage": render_usage(ranking),
    }
    if ranking.warnings:
        answer["warnings"] = list(ranking.warnings)
    if query.diagnostics:
        answer["diagnostics"] = render_diagnostics(ranking)
    return answer


def render_result(query: Query, result: Result, rank: int) -> dict[str, Any]:
    document = query.documents[result.index]
    rendered: dict[str, Any] = {"index": result.index, "relevance_score": result.score}
    if document.id is not None:
        rendered["id"] = document.id
    if query.return_documents:
        rendered["document"] = as_object(document)
    if query.diagnostics:
        rendered["rank"] = {
            "before": result.index + 1,
            "after": rank + 1,
            "change": result.index - rank,
        }
    return rendered


def render_reading(ranking: Ranking, index: int) -> dict[str, Any]:
    reading = ranking.readings.get(index)
    if reading is None:
        return {}
    rendered: dict[str, Any] = {
        "tokens": reading.tokens,
        "read_tokens": reading.read_tokens,
        "start": reading.start,
        "end": reading.end,
    }
    if reading.windows:
        rendered["windows"] = render_parts(reading.windows)
    return {"reading": rendered | {"sentences": render_parts(ranking.spans[index])}}


def render_parts(parts: Sequence[Span]) -> list[dict[str, Any]]:
    return [{"start": part.start, "end": part.end, "score": part.score} for part in parts]


def render_usage(ranking: Ranking) -> dict[str, Any]:
    usage = ranking.usage
    rendered: dict[str, Any] = {
        "total_tokens": usage.tokens,
        "documents": len(ranking.query.documents),
        "truncated": len(usage.truncated),
    }
    if usage.truncated:
        rendered["truncated_documents"] = list(usage.truncated)
    if usage.failed:
        rendered["failed_documents"] = list(usage.failed)
    if usage.unscored:
        rendered["unscored"] = usage.unscored
    return rendered


def render_diagnostics(ranking: Ranking) -> dict[str, Any]:
    times, usage = ranking.times, ranking.usage
    return {
        "tokenize_ms": round(times.tokenize * 1000, 3),
        "queue_ms": round(times.queue * 1000, 3),
        "compute_ms": round(times.compute * 1000, 3),
        "total_ms": round(times.total * 1000, 3),
        "duplicates": usage.duplicates,
        "cached": usage.cached,
    }


DIALECT = Dialect(
    "native",
    ("/rerank",),
    NativeRequest,
    NativeAnswer,
    parse,
    render,
    refuse=None,
    recognises=lambda signs: not signs.path.startswith("/v1/"),
)
