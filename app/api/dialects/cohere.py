"""Cohere, versions 1 and 2."""

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
    Either,
    Flag,
    Lenient,
    Priority,
    Text,
    Texts,
    example,
)
from app.rerank.query import Document, Query, Ranking, Span, SpansAsked

DOCUMENTS_A_SEARCH_UNIT = 100
MOST_FIELDS = 100  # looked for in each document


class CohereSpansAsked(Lenient):
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
    relevant_spans: CohereSpansAsked | None = None


class CohereV1Request(Lenient):
    model_config = example(
        {
            "query": QUERY,
            "documents": [{"title": "Rules", "body": text} for text in DOCUMENTS],
            "rank_fields": ["title", "body"],
            "return_documents": True,
        }
    )

    model: str | None = None
    query: Text
    documents: Annotated[list[Either[str, dict[str, Any]]], Field(min_length=1, fail_fast=True)]
    top_n: Count = None
    rank_fields: Annotated[list[str], Field(max_length=MOST_FIELDS)] | None = None
    return_documents: Flag = None
    max_chunks_per_doc: Count = None


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


def parse_v2(body: Body) -> Query:
    asked = CohereV2Request.model_validate(body)
    return Query(
        text=asked.query,
        documents=[Document(text) for text in asked.documents],
        top_n=asked.top_n or None,
        priority=asked.priority or 0,
        document_tokens=asked.max_tokens_per_doc or 0,
        spans=spans_of(asked.relevant_spans),
    )


def spans_of(asked: CohereSpansAsked | None) -> SpansAsked | None:
    if asked is None or asked.mode == "disabled":
        return None
    threshold = 0.1 if asked.threshold is None else asked.threshold
    return SpansAsked(threshold, asked.max_spans)


def parse_v1(body: Body) -> Query:
    asked = CohereV1Request.model_validate(body)
    fields = list(dict.fromkeys(asked.rank_fields or []))
    return Query(
        text=asked.query,
        documents=[Document(text_by(one, fields), body=one) for one in asked.documents],
        top_n=asked.top_n or None,
        return_documents=bool(asked.return_documents),
        windows=asked.max_chunks_per_doc or None,
    )


def text_by(document: str | dict[str, Any], fields: Sequence[str]) -> str:
    """The fields to rank by, each on a line under its name; `text` alone stands for itself."""
    if isinstance(document, str):
        return document
    if not fields and isinstance(document.get("text"), str):
        return str(document["text"])
    chosen = [name for name in fields or document if document.get(name) is not None]
    if len(chosen) == 1:
        return str(document[chosen[0]])
    return "\n".join(f"{name}: {document[name]}" for name in chosen)


def render_v2(ranking: Ranking, label: Label) -> Body:
    return render(ranking, label, "2")


def render_v1(ranking: Ranking, label: Label) -> Body:
    return render(ranking, label, "1")


def render(ranking: Ranking, label: Label, version: Literal["1", "2"]) -> Body:
    results = ranked(ranking, as_object)
    if ranking.query.spans is not None:
        for one in results:
            one["relevant_spans"] = render_spans(ranking.spans[one["index"]])
    return {
        "id": label.id,
        "results": results,
        "meta": render_meta(ranking, version),
    }


def render_spans(spans: Sequence[Span]) -> list[Body]:
    return [{"start": span.start, "end": span.end, "score": span.score} for span in spans]


def render_meta(ranking: Ranking, version: Literal["1", "2"]) -> Body:
    tokens, documents = ranking.usage.tokens, len(ranking.query.documents)
    units = -(-documents // DOCUMENTS_A_SEARCH_UNIT)
    meta: Body = {
        "api_version": {"version": version},
        "billed_units": {"search_units": units, "input_tokens": tokens},
        "tokens": {"input_tokens": tokens, "output_tokens": 0},
    }
    if warnings := warnings_of(ranking):
        meta["warnings"] = warnings
    return meta


V1 = Dialect("cohere_v1", CohereV1Request, CohereAnswer, parse_v1, render_v1)
V2 = Dialect("cohere_v2", CohereV2Request, CohereAnswer, parse_v2, render_v2)
