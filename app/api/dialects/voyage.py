"""Voyage."""

from __future__ import annotations

from pydantic import BaseModel

from app.api.dialects.dialect import Body, Dialect, Fault, Label, as_text, ranked
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
    request = VoyageRequest.model_validate(body)
    return Query(
        text=request.query,
        documents=texts_of(request.documents),
        top_n=request.top_k or None,
        truncate=request.truncation is not False,
        return_documents=bool(request.return_documents),
    )


def render(ranking: Ranking, label: Label) -> Body:
    """Omit empty strings, because the Python client rejects an answer that contains one."""
    data = ranked(ranking, as_text)
    return {
        "object": "list",
        "data": [{key: value for key, value in result.items() if value != ""} for result in data],
        "model": label.model,
        "usage": {"total_tokens": ranking.usage.tokens},
    }


def refuse(fault: Fault) -> Body:
    """Only `detail`: older Python clients cannot handle `error`."""
    return {"detail": fault.detail}


DIALECT = Dialect(
    "voyage",
    ("/voyage/v1/rerank", "/voyage/rerank"),
    VoyageRequest,
    VoyageAnswer,
    parse,
    render,
    refuse,
    prefix="voyage",
    recognises=lambda signs: (
        signs.sdk.startswith("voyage") or bool(signs.keys & {"top_k", "truncation"})
    ),
    statuses={"invalid": 400, "too_long": 400},
)
