"""Voyage."""

from __future__ import annotations

from pydantic import BaseModel

from app.api.dialects.dialect import Body, Dialect, Label, Refusal, as_text, ranked
from app.api.dialects.fields import (
    DOCUMENTS,
    QUERY,
    Count,
    Flag,
    Lenient,
    Text,
    Texts,
    example,
    texts_of,
)
from app.rerank.query import Query, Ranking


class VoyageRequest(Lenient):
    model_config = example(
        {"model": "rerank-2.5", "query": QUERY, "documents": DOCUMENTS, "top_k": 1}
    )

    model: str | None = None
    query: Text
    documents: Texts
    top_k: Count = None
    return_documents: Flag = None
    truncation: Flag = None


class VoyageResult(BaseModel):
    index: int
    relevance_score: float
    document: str | None = None


class VoyageAnswer(BaseModel):
    object: str
    data: list[VoyageResult]
    model: str
    usage: dict[str, int]


def parse(body: Body) -> Query:
    asked = VoyageRequest.model_validate(body)
    return Query(
        text=asked.query,
        documents=texts_of(asked.documents),
        top_n=asked.top_k or None,
        truncate=asked.truncation is not False,
        return_documents=bool(asked.return_documents),
    )


def render(ranking: Ranking, label: Label) -> Body:
    """Without empty strings: the Python client takes one anywhere for a broken answer."""
    data = ranked(ranking, as_text)
    return {
        "object": "list",
        "data": [{key: value for key, value in one.items() if value != ""} for one in data],
        "model": label.model,
        "usage": {"total_tokens": ranking.usage.tokens},
    }


def refuse(refusal: Refusal) -> Body:
    """Nothing but `detail`: an `error` makes older Python clients fail while they raise."""
    return {"detail": refusal.detail}


VOYAGE = Dialect(
    "voyage",
    VoyageRequest,
    VoyageAnswer,
    parse,
    render,
    refuse,
    statuses={"invalid": 400, "too_long": 400},
)
