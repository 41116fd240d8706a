"""Jina; and what a body that could be Jina's, Cohere's or vLLM's is answered with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from app.api.dialects.cohere import render_meta
from app.api.dialects.dialect import Body, Dialect, Label, Refusal, as_object, everyones, ranked
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


class SharedAnswer(JinaAnswer):
    id: str
    created: int
    data: list[JinaResult]
    meta: dict[str, Any]


def parse(body: Body) -> Query:
    """Jina echoes documents unless told not to."""
    query = parse_shared(body)
    return replace(query, return_documents=body.get("return_documents") is not False)


def parse_shared(body: Body) -> Query:
    asked = JinaRequest.model_validate(body)
    return Query(
        text=text_of(asked.query),
        documents=documents_of(asked.documents, body["documents"]),
        top_n=asked.top_n or None,
        return_documents=bool(asked.return_documents),
    )


def render(ranking: Ranking, label: Label) -> Body:
    tokens = ranking.usage.tokens
    return {
        "model": label.model,
        "object": "list",
        "usage": {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens},
        "results": ranked(ranking, as_object),
    }


def render_shared(ranking: Ranking, label: Label) -> Body:
    """Voyage's clients look for `data`, Cohere's for `meta`, all the others for `results`."""
    answer = render(ranking, label)
    return answer | {
        "id": label.id,
        "created": label.created,
        "data": answer["results"],
        "meta": render_meta(ranking, "1"),
    }


def refuse_shared(refusal: Refusal) -> Body:
    """`error` is a sentence here: an object there makes older Voyage clients fail as they raise."""
    return everyones(refusal) | {"error": refusal.detail}


JINA = Dialect("jina", JinaRequest, JinaAnswer, parse, render)
SHARED = Dialect("shared", JinaRequest, SharedAnswer, parse_shared, render_shared, refuse_shared)
