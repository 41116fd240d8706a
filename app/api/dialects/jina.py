"""Jina."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from app.api.dialects.dialect import Body, Dialect, Label, as_object, ranked
from app.api.dialects.fields import (
    DOCUMENTS,
    QUERY,
    Count,
    Flag,
    Lenient,
    QueryOrObject,
    TextsOrObjects,
    documents_of,
    example,
    text_of,
)
from app.rerank.query import Query, Ranking


class JinaRequest(Lenient):
    model_config = example(
        {
            "model": "jina-reranker-v2-base-multilingual",
            "query": QUERY,
            "documents": DOCUMENTS,
            "top_n": 1,
        }
    )

    model: str | None = None
    query: QueryOrObject
    documents: TextsOrObjects
    top_n: Count = None
    return_documents: Flag = None


class JinaResult(BaseModel):
    index: int
    relevance_score: float
    document: dict[str, Any] | None = None


class JinaAnswer(BaseModel):
    model: str
    object: str
    usage: dict[str, int]
    results: list[JinaResult]


def parse(body: Body) -> Query:
    """Jina echoes documents by default."""
    request = JinaRequest.model_validate(body)
    return Query(
        text=text_of(request.query),
        documents=documents_of(request.documents, body["documents"]),
        top_n=request.top_n or None,
        return_documents=request.return_documents is not False,
    )


def render(ranking: Ranking, label: Label) -> Body:
    tokens = ranking.usage.tokens
    return {
        "model": label.model,
        "object": "list",
        "usage": {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens},
        "results": ranked(ranking, as_object),
    }


DIALECT = Dialect(
    "jina", ("/jina/v1/rerank",), JinaRequest, JinaAnswer, parse, render, prefix="jina"
)
