"""A reranker elsewhere, as the tests see it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from app.events import Event, UpstreamCalled
from app.remote.providers import find_target
from app.remote.reranking import Remote
from app.rerank.query import Document, Query, Ranking
from tests.virtual_time import now

NAMES = {"cohere": "cohere:m", "jina": "jina:m", "voyage": "voyage:m", "rerankd": "http://there"}
EVERY = pytest.mark.parametrize("api", list(NAMES))


class Service:
    """Scores a text by its length, in hundredths; `before` may answer first, each entry once."""

    def __init__(self) -> None:
        self.before: list[httpx.Response] = []
        self.seconds = 0.0
        self.bodies: list[dict[str, Any]] = []
        self.calls: list[tuple[str, float]] = []
        self.events: list[Event] = []

    @property
    def outcomes(self) -> list[tuple[str, str, float]]:
        calls = [event for event in self.events if isinstance(event, UpstreamCalled)]
        return [(call.upstream, call.outcome, call.seconds) for call in calls]

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls.append((str(request.url), now()))
        await asyncio.sleep(self.seconds)
        if self.before:
            return self.before.pop(0)
        body = json.loads(request.content)
        self.bodies.append(body)
        scores = [
            {"index": index, "relevance_score": len(text) / 100}
            for index, text in enumerate(body["documents"])
        ]
        return httpx.Response(200, json=answer(scores))

    async def rank(self, api: str, *texts: str, limit: Any = 10, **options: Any) -> Ranking:
        query = Query("q", [Document(text) for text in texts], **options)
        target = find_target(NAMES[api])
        transport = httpx.MockTransport(self)
        async with httpx.AsyncClient(transport=transport, base_url=target.url) as client:
            return await Remote(target, client, limit, self.events.append).rank(query)


def answer(scores: Any, tokens: int = 7) -> dict[str, Any]:
    """What all of them read."""
    return {
        "results": scores,
        "data": scores,
        "usage": {"total_tokens": tokens},
        "meta": {"tokens": {"input_tokens": tokens}},
    }


def order(ranking: Ranking) -> list[int]:
    return [result.index for result in ranking.results]
