"""SGLang: a bare list, and no key that tells it apart; so only under its prefix."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from app.api.dialects.dialect import Body, Dialect, Label, Refusal, as_text, everyones, ranked
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
    asked = SglangRequest.model_validate(body)
    return Query(
        text=asked.query,
        documents=texts_of(asked.documents),
        top_n=asked.top_n or None,
        instruction=asked.instruct or None,
        return_documents=asked.return_documents is not False,
    )


def render(ranking: Ranking, label: Label) -> list[Body]:
    return [
        one | {"meta_info": {"id": label.id}} for one in ranked(ranking, as_text, score="score")
    ]


def refuse(refusal: Refusal) -> Body:
    return everyones(refusal) | {
        "object": "error",
        "type": refusal.type,
        "param": refusal.field,
        "code": refusal.status,
    }


SGLANG = Dialect(
    "sglang",
    SglangRequest,
    list[SglangResult],
    parse,
    render,
    refuse,
    statuses={"invalid": 400},
)
