"""Another rerankd, which gives logits and takes the options that we take."""

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


class RerankdUsage(BaseModel):
    total_tokens: Count = 0
    truncated_documents: list[Count] = []


class RerankdScores(BaseModel):
    results: list[ScoredIndex]
    usage: RerankdUsage = RerankdUsage()
    warnings: list[str] = []


def write(request: ProviderRequest) -> Body:
    query = request.query
    body: Body = {
        "query": query.text,
        "documents": list(request.texts),
        "score": "logit",
        "truncation_direction": query.cut,
        "timeout_ms": max(1, int(request.seconds * 1000)),
        "priority": query.priority,
    }
    if query.instruction is not None:
        body["instruction"] = query.instruction
    if query.windows is not None:
        body["long_documents"] = "windows" if query.windows else "cut"
    return body


def read(raw: bytes) -> ProviderAnswer:
    answer = RerankdScores.model_validate_json(raw)
    usage = answer.usage
    return ProviderAnswer(
        pairs(answer.results), usage.total_tokens, usage.truncated_documents, answer.warnings
    )


PROVIDER = Provider(
    "rerankd",
    "",
    "/rerank",
    1000,
    write,
    read,
    options=frozenset({"cut", "windows", "instruction"}),
    gives_logits=True,
)
