"""Voyage."""

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


class VoyageScores(BaseModel):
    data: list[ScoredIndex]
    usage: TotalTokens = TotalTokens()


def write(request: ProviderRequest) -> Body:
    return {
        "model": request.model,
        "query": request.query.text,
        "documents": list(request.texts),
        "truncation": True,
    }


def read(raw: bytes) -> ProviderAnswer:
    answer = VoyageScores.model_validate_json(raw)
    return ProviderAnswer(pairs(answer.data), answer.usage.total_tokens)


PROVIDER = Provider("voyage", "https://api.voyageai.com", "/v1/rerank", 1000, write, read)
