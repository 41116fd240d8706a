"""A scorer that calls a running service over HTTP, like any client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx

from app.evaluation.problems import ServerFailed
from app.evaluation.scoring import prefiltered_name, refuse_without_prefilter
from app.rerank.query import UNSCORED
from app.upstream.retry import RetryPolicy, retried

TIMEOUT = httpx.Timeout(300, connect=10)
# A measurement retries only if the service is busy.
RETRIES = RetryPolicy(
    attempts=8,
    statuses=frozenset({429, 503}),
    connections=False,
    first_wait=0.5,
    max_wait=30.0,
    jitter=0.0,
    max_hint=30.0,
    shorten_hints=True,
)


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
        self._prefilter: int | None = None

    def with_prefilter(self, most: int) -> RemoteScorer:
        scorer = RemoteScorer(self._client)
        scorer.name = prefiltered_name(self.name, most)
        scorer.facts, scorer._max_documents = self.facts, self._max_documents
        scorer._prefilter = most
        return scorer

    async def greet(self) -> None:
        """Read the model of the service and its limit of documents per request."""
        self.facts = await self._send("GET", "/info")
        limits = self.facts.get("limits")
        max_documents = limits.get("documents") if isinstance(limits, dict) else None
        if not isinstance(max_documents, int) or not isinstance(self.facts.get("model"), str):
            raise ServerFailed(
                f"{self._client.base_url} is not a rerankd, or its model is not loaded yet"
            )
        self.name, self._max_documents = self.facts["model"], max_documents

    async def score(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        scores: list[float] = []
        for start in range(0, len(texts), self._max_documents):
            scores += await self._score(query, texts[start : start + self._max_documents])
        return scores

    async def _score(self, query: str, texts: Sequence[str]) -> list[float]:
        body: dict[str, Any] = {"query": query, "documents": list(texts), "score": "logit"}
        if self._prefilter is not None:
            body |= {"prefilter": self._prefilter, "top_n": self._prefilter}
        answer = await self._send("POST", "/rerank", json=body)
        refuse_without_prefilter(answer.get("warnings") or [])
        try:
            results = answer["results"]
            scores = {result["index"]: float(result["relevance_score"]) for result in results}
            others = {} if self._prefilter is None else dict.fromkeys(range(len(texts)), UNSCORED)
            return [(others | scores)[index] for index in range(len(texts))]
        except (KeyError, TypeError, ValueError) as error:
            raise ServerFailed(
                f"{self._client.base_url} returned no score for a document"
            ) from error

    async def _send(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        async def attempt() -> httpx.Response:
            response = await self._client.request(method, path, **more)
            if response.status_code in RETRIES.statuses:
                response.raise_for_status()
            return response

        try:
            response = await retried(attempt, RETRIES)
        except httpx.HTTPStatusError as error:
            response = error.response
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise ServerFailed(f"{self._client.base_url}: {reason}") from error
        return read_answer(response)


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
