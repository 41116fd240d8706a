"""Cohere, version 2."""

from __future__ import annotations

from pydantic import BaseModel

from app.remote.providers.wire import Asked, Body, Count, Score, Told, Wire, pairs


class Counts(BaseModel):
    input_tokens: Count | None = None


class Meta(BaseModel):
    tokens: Counts | None = None


class Answer(BaseModel):
    results: list[Score]
    meta: Meta | None = None


def write(asked: Asked) -> Body:
    body: Body = {"model": asked.model, "query": asked.query.text, "documents": list(asked.texts)}
    if asked.query.document_tokens:
        body["max_tokens_per_doc"] = asked.query.document_tokens
    return body


def read(raw: bytes) -> Told:
    answer = Answer.model_validate_json(raw)
    counts = answer.meta.tokens if answer.meta else None
    return Told(pairs(answer.results), (counts.input_tokens if counts else 0) or 0)


COHERE = Wire(
    "cohere",
    "https://api.cohere.com",
    "/v2/rerank",
    1000,
    write,
    read,
    grants=frozenset({"document_tokens"}),
)
