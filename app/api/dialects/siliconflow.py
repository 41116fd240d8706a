"""SiliconFlow."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from app.api.dialects.dialect import (
    Body,
    Dialect,
    Fault,
    Label,
    as_object,
    ranked,
    universal_body,
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


class SiliconFlowRequest(Lenient):
    model_config = example(
        {
            "model": "BAAI/bge-reranker-v2-m3",
            "query": QUERY,
            "documents": DOCUMENTS,
            "overlap_tokens": 80,
        }
    )

    model: str | None = None
    query: Text
    documents: Texts
    top_n: Count = None
    return_documents: Flag = None
    max_chunks_per_doc: Count = None
    overlap_tokens: Count = None


class SiliconFlowResult(BaseModel):
    index: int
    relevance_score: float
    document: dict[str, Any] | None = None


class SiliconFlowAnswer(BaseModel):
    id: str
    results: list[SiliconFlowResult]
    meta: dict[str, Any]


def parse(body: Body) -> Query:
    request = SiliconFlowRequest.model_validate(body)
    return Query(
        text=request.query,
        documents=texts_of(request.documents),
        top_n=request.top_n or None,
        return_documents=bool(request.return_documents),
        windows=request.max_chunks_per_doc or None,
    )


def render(ranking: Ranking, label: Label) -> Body:
    tokens = {"input_tokens": ranking.usage.tokens, "output_tokens": 0}
    return {
        "id": label.id,
        "results": ranked(ranking, as_object),
        "meta": {"tokens": tokens, "billed_units": tokens | {"search_units": 0}},
    }


def refuse(fault: Fault) -> Body:
    return universal_body(fault) | {"code": fault.status, "data": None}


DIALECT = Dialect(
    "siliconflow",
    ("/siliconflow/v1/rerank",),
    SiliconFlowRequest,
    SiliconFlowAnswer,
    parse,
    render,
    refuse,
    prefix="siliconflow",
    recognises=lambda signs: "overlap_tokens" in signs.keys,
    statuses={"invalid": 400},
)
