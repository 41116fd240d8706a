"""Mixedbread: `input` in, `data` out."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from app.api.dialects.dialect import Body, Dialect, Label, ranked
from app.api.dialects.fields import (
    DOCUMENTS,
    QUERY,
    Count,
    Flag,
    Lenient,
    Text,
    TextsOrObjects,
    documents_of,
    example,
)
from app.rerank.query import Document, Query, Ranking


class MixedbreadRequest(Lenient):
    model_config = example({"query": QUERY, "input": DOCUMENTS, "return_input": True})

    model: str | None = None
    query: Text
    input: TextsOrObjects
    top_k: Count = None
    return_input: Flag = None
    instruction: str | None = None


class MixedbreadResult(BaseModel):
    object: str
    index: int
    score: float
    input: Any = None


class MixedbreadAnswer(BaseModel):
    object: str
    model: str
    usage: dict[str, int]
    data: list[MixedbreadResult]
    top_k: int
    return_input: bool


def parse(body: Body) -> Query:
    request = MixedbreadRequest.model_validate(body)
    return Query(
        text=request.query,
        documents=documents_of(request.input, body["input"]),
        top_n=request.top_k or None,
        instruction=request.instruction or None,
        return_documents=bool(request.return_input),
    )


def as_received(document: Document) -> Any:
    return document.body


def render(ranking: Ranking, label: Label) -> Body:
    tokens, query = ranking.usage.tokens, ranking.query
    results = ranked(ranking, as_received, score="score", document="input")
    return {
        "object": "list",
        "model": label.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "data": [result | {"object": "rank_result"} for result in results],
        "top_k": len(results),
        "return_input": query.return_documents,
    }


DIALECT = Dialect(
    "mixedbread",
    ("/mixedbread/v1/reranking", "/mixedbread/reranking"),
    MixedbreadRequest,
    MixedbreadAnswer,
    parse,
    render,
    prefix="mixedbread",
    recognises=lambda signs: signs.path.endswith("/reranking") and "input" in signs.keys,
    documents="input",
)
