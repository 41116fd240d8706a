"""NVIDIA NIM: scores are logits."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from app.api.dialects.dialect import Body, Dialect, Label, as_text, ranked
from app.api.dialects.fields import (
    DOCUMENTS,
    QUERY,
    Count,
    Lenient,
    QueryObject,
    TextObject,
    example,
)
from app.rerank.query import Document, Query, Ranking


class NimRequest(Lenient):
    model_config = example(
        {
            "model": "nvidia/llama-nemotron-rerank-1b-v2",
            "query": {"text": QUERY},
            "passages": [{"text": text} for text in DOCUMENTS],
        }
    )

    model: str | None = None
    query: QueryObject
    passages: Annotated[list[TextObject], Field(min_length=1, fail_fast=True)]
    truncate: Literal["NONE", "END"] | None = None
    top_k: Count = None


class NimRank(BaseModel):
    index: int
    logit: float


class NimAnswer(BaseModel):
    rankings: list[NimRank]
    usage: dict[str, int]


def parse(body: Body) -> Query:
    """Cut long passages unless `truncate` is NONE. NIM cuts only if it is END; here the default
    is to cut, so that no request fails because of its length."""
    request = NimRequest.model_validate(body)
    return Query(
        text=request.query.text,
        documents=[Document(passage.text) for passage in request.passages],
        top_n=request.top_k or None,
        score="logit",
        truncate=request.truncate != "NONE",
    )


def render(ranking: Ranking, _: Label) -> Body:
    tokens = ranking.usage.tokens
    return {
        "rankings": ranked(ranking, as_text, score="logit"),
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


DIALECT = Dialect(
    "nim",
    (
        "/nim/v1/ranking",
        "/nim/ranking",
        "/v1/ranking",
        "/ranking",
        "/v1/retrieval/{organization}/{model}/reranking",
    ),
    NimRequest,
    NimAnswer,
    parse,
    render,
    prefix="nim",
    recognises=lambda signs: (
        "passages" in signs.keys
        or signs.path.endswith("/ranking")
        or signs.path.startswith("/v1/retrieval/")
    ),
    documents="passages",
)
