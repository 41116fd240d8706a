"""SiliconFlow."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from app.api.dialects.dialect import Body, Dialect, Label, Refusal, as_object, everyones, ranked
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
    asked = SiliconFlowRequest.model_validate(body)
    return Query(
        text=asked.query,
        documents=texts_of(asked.documents),
        top_n=asked.top_n or None,
        return_documents=bool(asked.return_documents),
        windows=asked.max_chunks_per_doc or None,
    )


def render(ranking: Ranking, label: Label) -> Body:
    tokens = {"input_tokens": ranking.usage.tokens, "output_tokens": 0}
    return {
        "id": label.id,
        "results": ranked(ranking, as_object),
        "meta": {"tokens": tokens, "billed_units": tokens | {"search_units": 0}},
    }


def refuse(refusal: Refusal) -> Body:
    return everyones(refusal) | {"code": refusal.status, "data": None}


SILICONFLOW = Dialect(
    "siliconflow",
    SiliconFlowRequest,
    SiliconFlowAnswer,
    parse,
    render,
    refuse,
    statuses={"invalid": 400},
)
