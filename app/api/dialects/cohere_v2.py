"""Cohere, version 2, and the parts of an answer that both versions share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from app.api.dialects.dialect import Body, Dialect, Label, as_object, ranked, warnings_of
from app.api.dialects.fields import (
    DOCUMENTS,
    QUERY,
    WHOLE,
    Count,
    Lenient,
    Priority,
    Text,
    Texts,
    example,
    texts_of,
)
from app.rerank.query import Query, Ranking, Span, SpansWanted

DOCUMENTS_PER_SEARCH_UNIT = 100


class CohereSpansWanted(Lenient):
    mode: Literal["enabled", "disabled"] | None = None
    threshold: float | None = None
    max_spans: Annotated[int, Field(ge=1), WHOLE] | None = None


class CohereV2Request(Lenient):
    model_config = example(
        {"model": "rerank-v3.5", "query": QUERY, "documents": DOCUMENTS, "top_n": 1}
    )

    model: str | None = None
    query: Text
    documents: Texts
    top_n: Count = None
    max_tokens_per_doc: Count = None
    priority: Priority | None = None
    relevant_spans: CohereSpansWanted | None = None


class CohereSpan(BaseModel):
    start: int
    end: int
    score: float


class CohereResult(BaseModel):
    index: int
    relevance_score: float
    document: dict[str, Any] | None = None
    relevant_spans: list[CohereSpan] | None = None


class CohereAnswer(BaseModel):
    id: str
    results: list[CohereResult]
    meta: dict[str, Any]


def parse(body: Body) -> Query:
    request = CohereV2Request.model_validate(body)
    return Query(
        text=request.query,
        documents=texts_of(request.documents),
        top_n=request.top_n or None,
        priority=request.priority or 0,
        document_tokens=request.max_tokens_per_doc or 0,
        spans=spans_of(request.relevant_spans),
    )


def spans_of(wanted: CohereSpansWanted | None) -> SpansWanted | None:
    if wanted is None or wanted.mode == "disabled":
        return None
    threshold = 0.1 if wanted.threshold is None else wanted.threshold
    return SpansWanted(threshold, wanted.max_spans)


def render(ranking: Ranking, label: Label) -> Body:
    results = ranked(ranking, as_object)
    if ranking.query.spans is not None:
        for result in results:
            result["relevant_spans"] = render_spans(ranking.spans[result["index"]])
    return {"id": label.id, "results": results, "meta": render_meta(ranking, "2")}


def render_spans(spans: Sequence[Span]) -> list[Body]:
    return [{"start": span.start, "end": span.end, "score": span.score} for span in spans]


def render_meta(ranking: Ranking, version: Literal["1", "2"]) -> Body:
    tokens, documents = ranking.usage.tokens, len(ranking.query.documents)
    units = -(-documents // DOCUMENTS_PER_SEARCH_UNIT)
    meta: Body = {
        "api_version": {"version": version},
        "billed_units": {"search_units": units, "input_tokens": tokens},
        "tokens": {"input_tokens": tokens, "output_tokens": 0},
    }
    if warnings := warnings_of(ranking):
        meta["warnings"] = warnings
    return meta


DIALECT = Dialect(
    "cohere_v2",
    ("/v2/rerank", "/cohere/v2/rerank"),
    CohereV2Request,
    CohereAnswer,
    parse,
    render,
    recognises=lambda signs: signs.path == "/v2/rerank",
)
