"""Voyage."""

from __future__ import annotations

from pydantic import BaseModel

from app.remote.providers.wire import Asked, Body, Score, Tokens, Told, Wire, pairs


class Answer(BaseModel):
    data: list[Score]
    usage: Tokens = Tokens()


def write(asked: Asked) -> Body:
    return {
        "model": asked.model,
        "query": asked.query.text,
        "documents": list(asked.texts),
        "truncation": True,
    }


def read(raw: bytes) -> Told:
    answer = Answer.model_validate_json(raw)
    return Told(pairs(answer.data), answer.usage.total_tokens)


VOYAGE = Wire("voyage", "https://api.voyageai.com", "/v1/rerank", 1000, write, read)
