"""Xinference."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator

from app.api.dialects.dialect import Body, Dialect, Label, as_object, ranked, warnings_of
from app.api.dialects.fields import (
    DOCUMENTS,
    QUERY,
    Count,
    Lenient,
    Text,
    TextsOrObjects,
    documents_of,
    example,
)
from app.rerank.query import Query, Ranking


def _spelled(value: object) -> object:
    """Accept "true" and "false", which some clients send as strings."""
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


SpelledFlag = Annotated[bool, BeforeValidator(_spelled)] | None


class XinferenceRequest(Lenient):
    model_config = example(
        {
            "model": "bge-reranker-v2-m3",
            "query": QUERY,
            "documents": DOCUMENTS,
            "return_documents": True,
            "return_len": True,
            "kwargs": "{}",
        }
    )

    model: str | None = None
    query: Text
    documents: TextsOrObjects
    top_n: Count = None
    return_documents: SpelledFlag = None
    return_len: SpelledFlag = None
    max_chunks_per_doc: Count = None


class XinferenceResult(BaseModel):
    index: int
    relevance_score: float
    document: dict[str, Any] | None = None


class XinferenceAnswer(BaseModel):
    id: str
    results: list[XinferenceResult]
    meta: dict[str, Any]


def parse(body: Body) -> Query:
    request = XinferenceRequest.model_validate(body)
    return Query(
        text=request.query,
        documents=documents_of(request.documents, body["documents"]),
        top_n=request.top_n or None,
        return_documents=bool(request.return_documents),
        windows=request.max_chunks_per_doc or None,
    )


def render(ranking: Ranking, label: Label) -> Body:
    return {
        "id": label.id,
        "results": ranked(ranking, as_object),
        "meta": {
            "api_version": None,
            "billed_units": None,
            "tokens": {"input_tokens": ranking.usage.tokens, "output_tokens": 0},
            "warnings": warnings_of(ranking) or None,
        },
    }


DIALECT = Dialect(
    "xinference",
    ("/xinference/v1/rerank",),
    XinferenceRequest,
    XinferenceAnswer,
    parse,
    render,
    prefix="xinference",
    recognises=lambda signs: bool(signs.keys & {"kwargs", "return_len"}),
    statuses={"invalid": 400},
)
