"""Cohere, version 2."""

from __future__ import annotations

from pydantic import BaseModel

from app.remote.providers.provider import (
    Body,
    Count,
    Provider,
    ProviderAnswer,
    ProviderRequest,
    ScoredIndex,
    pairs,
)


class CohereTokens(BaseModel):
    input_tokens: Count | None = None


class CohereMeta(BaseModel):
    tokens: CohereTokens | None = None


class CohereScores(BaseModel):
    results: list[ScoredIndex]
    meta: CohereMeta | None = None


def write(request: ProviderRequest) -> Body:
    query = request.query
    body: Body = {"model": request.model, "query": query.text, "documents": list(request.texts)}
    if query.document_tokens:
        body["max_tokens_per_doc"] = query.document_tokens
    return body


def read(raw: bytes) -> ProviderAnswer:
    answer = CohereScores.model_validate_json(raw)
    tokens = answer.meta.tokens if answer.meta else None
    return ProviderAnswer(pairs(answer.results), (tokens.input_tokens if tokens else 0) or 0)


PROVIDER = Provider(
    "cohere",
    "https://api.cohere.com",
    "/v2/rerank",
    1000,
    write,
    read,
    options=frozenset({"document_tokens"}),
)
