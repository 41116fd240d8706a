"""llama.cpp: scores are logits, and documents are never echoed."""

from __future__ import annotations

from pydantic import BaseModel

from app.api.dialects.dialect import Body, Dialect, Label, as_text, body_with_status, ranked
from app.api.dialects.fields import DOCUMENTS, QUERY, Count, Lenient, Text, Texts, example, texts_of
from app.rerank.query import Query, Ranking


class LlamaCppRequest(Lenient):
    model_config = example({"query": QUERY, "documents": DOCUMENTS, "top_n": 1})

    model: str | None = None
    query: Text
    documents: Texts
    top_n: Count = None


class LlamaCppResult(BaseModel):
    index: int
    relevance_score: float


class LlamaCppAnswer(BaseModel):
    model: str
    object: str
    usage: dict[str, int]
    results: list[LlamaCppResult]


def parse(body: Body) -> Query:
    request = LlamaCppRequest.model_validate(body)
    return Query(
        text=request.query,
        documents=texts_of(request.documents),
        top_n=request.top_n or None,
        score="logit",
    )


def render(ranking: Ranking, label: Label) -> Body:
    tokens = ranking.usage.tokens
    return {
        "model": label.model,
        "object": "list",
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "results": ranked(ranking, as_text),
    }


DIALECT = Dialect(
    "llamacpp",
    (
        "/llamacpp/reranking",
        "/llamacpp/v1/reranking",
        "/llamacpp/rerank",
        "/llamacpp/v1/rerank",
        "/reranking",
        "/v1/reranking",
    ),
    LlamaCppRequest,
    LlamaCppAnswer,
    parse,
    render,
    body_with_status,
    prefix="llamacpp",
    recognises=lambda signs: signs.path.endswith("/reranking"),
    statuses={"invalid": 400},
)
