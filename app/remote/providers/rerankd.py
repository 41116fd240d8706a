"""Another rerankd, which gives logits and understands what we do."""

from __future__ import annotations

from pydantic import BaseModel

from app.remote.providers.wire import Asked, Body, Count, Score, Told, Wire, pairs


class Usage(BaseModel):
    total_tokens: Count = 0
    truncated_documents: list[Count] = []


class Answer(BaseModel):
    results: list[Score]
    usage: Usage = Usage()
    warnings: list[str] = []


def write(asked: Asked) -> Body:
    query = asked.query
    body: Body = {
        "query": query.text,
        "documents": list(asked.texts),
        "score": "logit",
        "truncation_direction": query.cut,
        "timeout_ms": max(1, int(asked.seconds * 1000)),
        "priority": query.priority,
    }
    if query.instruction is not None:
        body["instruction"] = query.instruction
    if query.windows is not None:
        body["long_documents"] = "windows" if query.windows else "cut"
    return body


def read(raw: bytes) -> Told:
    answer = Answer.model_validate_json(raw)
    usage = answer.usage
    return Told(
        pairs(answer.results), usage.total_tokens, usage.truncated_documents, answer.warnings
    )


RERANKD = Wire(
    "rerankd",
    "",
    "/rerank",
    1000,
    write,
    read,
    grants=frozenset({"cut", "windows", "instruction"}),
    logits=True,
)
