"""Jina."""

from __future__ import annotations

from pydantic import BaseModel

from app.remote.providers.provider import (
    Body,
    Provider,
    ProviderAnswer,
    ProviderRequest,
    ScoredIndex,
    TotalTokens,
    pairs,
)


class JinaScores(BaseModel):
    results: list[ScoredIndex]
    usage: TotalTokens = TotalTokens()


def write(request: ProviderRequest) -> Body:
    return {
        "model": request.model,
        "query": request.query.text,
        "documents": list(request.texts),
        "return_documents": False,
    }


def read(raw: bytes) -> ProviderAnswer:
    answer = JinaScores.model_validate_json(raw)
    return ProviderAnswer(pairs(answer.results), answer.usage.total_tokens)


PROVIDER = Provider("jina", "https://api.jina.ai", "/v1/rerank", 1000, write, read)
