"""A running service, called over HTTP as by any client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx

from app.evaluation.problems import ServerFailed

ATTEMPTS = 8
# Doubled each time, where the service does not say when to come back.
PAUSE_SECONDS = 0.5
MAX_PAUSE_SECONDS = 30.0
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
        self._max_documents = 1

    async def greet(self) -> None:
        """Read which model it serves, and how many documents it takes at a time."""
        self.facts = await self._send("GET", "/info")
        limits = self.facts.get("limits")
        max_documents = limits.get("documents") if isinstance(limits, dict) else None
        if not isinstance(max_documents, int) or not isinstance(self.facts.get("model"), str):
            raise ServerFailed(f"{self._client.base_url} is no rerankd, or has no model yet")
        self.name, self._max_documents = self.facts["model"], max_documents

    async def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        scores: list[float] = []
        for start in range(0, len(texts), self._max_documents):
            scores += await self._score(query, texts[start : start + self._max_documents])
        return scores

    async def _score(self, query: str, texts: Sequence[str]) -> list[float]:
        body = {"query": query, "documents": list(texts), "score": "logit"}
        answer = await self._send("POST", "/rerank", json=body)
        try:
            results = answer["results"]
            scores = {result["index"]: float(result["relevance_score"]) for result in results}
            return [scores[index] for index in range(len(texts))]
        except (KeyError, TypeError, ValueError) as error:
            raise ServerFailed(f"{self._client.base_url} gave no score for a document") from error

    async def _send(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """Waits as long as a busy service says; gives up on anything else."""
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
        hint = response.headers.get(name, "")
        if hint.isdecimal():
            return min(int(hint) / unit, MAX_PAUSE_SECONDS)
    return min(PAUSE_SECONDS * 2.0**attempt, MAX_PAUSE_SECONDS)


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
