"""Infinity."""

from __future__ import annotations

from pydantic import BaseModel

from app.api.dialects.dialect import (
    Body,
    Dialect,
    Fault,
    Label,
    as_text,
    body_with_status,
    ranked,
)
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


class InfinityRequest(Lenient):
    model_config = example({"query": QUERY, "documents": DOCUMENTS, "return_documents": True})

    query: Text
    documents: Texts
    model: str | None = None
    top_n: Count = None
    return_documents: Flag = None
    raw_scores: Flag = None


class InfinityResult(BaseModel):
    index: int
    relevance_score: float
    document: str | None = None


class InfinityAnswer(BaseModel):
    object: str
    results: list[InfinityResult]
    model: str
    usage: dict[str, int]
    id: str
    created: int


def parse(body: Body) -> Query:
    request = InfinityRequest.model_validate(body)
    return Query(
        text=request.query,
        documents=texts_of(request.documents),
        top_n=request.top_n or None,
        score="logit" if request.raw_scores else "probability",
        return_documents=bool(request.return_documents),
    )


def render(ranking: Ranking, label: Label) -> Body:
    tokens = ranking.usage.tokens
    return {
        "object": "rerank",
        "results": ranked(ranking, as_text),
        "model": label.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "id": f"infinity-{label.id}",
        "created": label.created,
    }


def refuse(fault: Fault) -> Body:
    """The client of Infinity expects a 422 to list errors, each with a location."""
    body = body_with_status(fault)
    if fault.status == 422:
        location = ["body", *([fault.field] if fault.field else [])]
        body["detail"] = [{"loc": location, "msg": fault.detail, "type": fault.type}]
    return body


DIALECT = Dialect(
    "infinity",
    ("/infinity/rerank",),
    InfinityRequest,
    InfinityAnswer,
    parse,
    render,
    refuse,
    prefix="infinity",
    recognises=lambda signs: "raw_scores" in signs.keys and signs.path == "/rerank",
)
