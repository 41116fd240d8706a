"""SGLang: answers with a list. No request key identifies it, so it has only paths with a prefix."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from app.api.dialects.dialect import Body, Dialect, Fault, Label, as_text, ranked, universal_body
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


class SglangRequest(Lenient):
    model_config = example({"query": QUERY, "documents": DOCUMENTS})

    model: str | None = None
    query: Text
    documents: Texts
    instruct: str | None = None
    top_n: Count = None
    return_documents: Flag = None


class SglangResult(BaseModel):
    score: float
    index: int
    document: str | None = None
    meta_info: dict[str, Any]


def parse(body: Body) -> Query:
    request = SglangRequest.model_validate(body)
    return Query(
        text=request.query,
        documents=texts_of(request.documents),
        top_n=request.top_n or None,
        instruction=request.instruct or None,
        return_documents=request.return_documents is not False,
    )


def render(ranking: Ranking, label: Label) -> list[Body]:
    return [
        result | {"meta_info": {"id": label.id}}
        for result in ranked(ranking, as_text, score="score")
    ]


def refuse(fault: Fault) -> Body:
    return universal_body(fault) | {
        "object": "error",
        "type": fault.type,
        "param": fault.field,
        "code": fault.status,
    }


DIALECT = Dialect(
    "sglang",
    ("/sglang/v1/rerank",),
    SglangRequest,
    list[SglangResult],
    parse,
    render,
    refuse,
    prefix="sglang",
    statuses={"invalid": 400},
)
