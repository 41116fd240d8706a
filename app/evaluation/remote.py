"""A running service, asked over HTTP as any client would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx

from app.evaluation.problems import ServerFailed

ATTEMPTS = 8
PAUSE = 0.5  # seconds, doubled each time, where the service does not say when to come back
LONGEST_PAUSE = 30.0
TIMEOUT = httpx.Timeout(300, connect=10)
BUSY = (429, 503)


@asynccontextmanager
async def open_remote(
    url: str, key: str | None = None, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[RemoteScorer]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(
        base_url=url, headers=headers, timeout=TIMEOUT, transport=transport
    ) as client:
        scorer = RemoteScorer(client)
        await scorer.greet()
        yield scorer


class RemoteScorer:
    def __init__(self, client: httpx.AsyncClient) -> None:
        self.name = ""
        self.facts: dict[str, Any] = {}
        self._client = client
        self._most = 1

    async def greet(self) -> None:
        """Which model it serves, and how many documents it takes at a time."""
        self.facts = await self._send("GET", "/info")
        limits = self.facts.get("limits")
        most = limits.get("documents") if isinstance(limits, dict) else None
        if not isinstance(most, int) or not isinstance(self.facts.get("model"), str):
            raise ServerFailed(f"{self._client.base_url} is no rerankd, or has no model yet")
        self.name, self._most = self.facts["model"], most

    async def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        scores: list[float] = []
        for start in range(0, len(texts), self._most):
            scores += await self._score(query, texts[start : start + self._most])
        return scores

    async def _score(self, query: str, texts: Sequence[str]) -> list[float]:
        body = {"query": query, "documents": list(texts), "score": "logit"}
        answer = await self._send("POST", "/rerank", json=body)
        try:
            found = {one["index"]: float(one["relevance_score"]) for one in answer["results"]}
            return [found[place] for place in range(len(texts))]
        except (KeyError, TypeError, ValueError) as error:
            raise ServerFailed(f"{self._client.base_url} gave no score for a document") from error

    async def _send(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """Waits as told while the service is busy; gives up on anything else."""
        for attempt in range(ATTEMPTS):
            try:
                response = await self._client.request(method, path, **more)
            except httpx.HTTPError as error:
                reason = str(error) or type(error).__name__
                raise ServerFailed(f"{self._client.base_url}: {reason}") from error
            if response.status_code not in BUSY:
                break
            if attempt < ATTEMPTS - 1:
                await asyncio.sleep(pause(response, attempt))
        return read_answer(response)


def pause(response: httpx.Response, attempt: int) -> float:
    for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
        told = response.headers.get(name, "")
        if told.isdecimal():
            return min(int(told) / unit, LONGEST_PAUSE)
    return min(PAUSE * 2.0**attempt, LONGEST_PAUSE)


def read_answer(response: httpx.Response) -> dict[str, Any]:
    where = f"{response.request.method} {response.request.url}"
    try:
        answer = response.json()
    except ValueError:
        answer = None
    if response.is_error:
        detail = answer.get("detail") if isinstance(answer, dict) else response.reason_phrase
        raise ServerFailed(f"{where} answered {response.status_code}: {detail}")
    if not isinstance(answer, dict):
        raise ServerFailed(f"{where} did not answer with a JSON object")
    return answer
