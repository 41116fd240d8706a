"""Queries ranked by a running service, over HTTP like any client, a number of them at a time.

A service that is busy, starting or being replaced is waited for. Its order is made here, because
a query of many documents is sent in parts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from pydantic import BaseModel, Field, FiniteFloat, ValidationError

from app.bulk.latencies import Latencies
from app.bulk.problems import RunFailed, Unusable
from app.errors import InvalidRequest, ScoringFailed, ServiceError
from app.rerank.query import Query, Ranking, Result, Usage
from app.upstream.reading import ACCEPTED_ENCODINGS
from app.upstream.retry import RetryPolicy, retried

TIMEOUT = httpx.Timeout(300, connect=10)
PATIENCE_SECONDS = 600.0
# For the first answer: the address may be wrong.
GREETING_SECONDS = 20.0
# The row is wrong, not the service.
REFUSED_ROW = frozenset({400, 413, 422})
BUSY = frozenset({429, 502, 503})
WAITING = RetryPolicy(
    attempts=100_000,  # the deadline ends it
    statuses=BUSY,
    broken_connections=True,  # to rank a query twice does no harm
    first_wait=0.2,
    max_wait=10.0,
    max_hint=60.0,
    shorten_hints=True,
)
# The row may be the cause, so others must not wait for it.
TRYING = RetryPolicy(attempts=3, statuses=frozenset({500, 504}), connections=False)
FACTS = ("model", "reranked_by", "revision", "engine", "dtype", "max_length")


class ServiceResult(BaseModel):
    index: int
    relevance_score: FiniteFloat


class ServiceUsage(BaseModel):
    total_tokens: int = 0
    truncated_documents: list[int] = Field(default_factory=list)
    failed_documents: list[int] = Field(default_factory=list)


class ServiceAnswer(BaseModel):
    model: str
    results: list[ServiceResult]
    usage: ServiceUsage
    warnings: list[str] = Field(default_factory=list)


class ServiceInfo(BaseModel):
    """What a rerankd says of itself; another service says less."""

    model: str
    limits: dict[str, int]


class Service:
    """A ranker; `facts` names the model that ranks there."""

    def __init__(
        self, client: httpx.AsyncClient, concurrency: int, patience: float = PATIENCE_SECONDS
    ) -> None:
        self.facts: Mapping[str, Any] = {}
        self.latencies = Latencies()
        self.refusals = 0
        self._client = client
        self._room = asyncio.Semaphore(concurrency)
        self._patience = patience
        self._max_documents = 1

    async def greet(self) -> None:
        response = await self._answered("GET", "/info", None, GREETING_SECONDS)
        try:
            info = ServiceInfo.model_validate_json(response.content)
        except ValidationError as error:
            raise RunFailed(f"{self._client.base_url} is not a rerankd that is ready") from error
        self._max_documents = info.limits["documents"]
        fields = response.json()
        self.facts = {name: fields[name] for name in FACTS if fields.get(name) is not None}

    async def rank(self, query: Query) -> Ranking:
        parts = []
        for start in range(0, len(query.documents), self._max_documents):
            texts = [doc.text for doc in query.documents[start : start + self._max_documents]]
            async with self._room:
                parts.append(await self._rank(query, texts))
        return merge(query, parts, self._max_documents)

    async def _rank(self, query: Query, texts: Sequence[str]) -> ServiceAnswer:
        body = body_of(query, texts)
        response = await self._answered("POST", "/rerank", body, self._patience)
        try:
            answer = ServiceAnswer.model_validate_json(response.content)
        except ValidationError as error:
            raise RunFailed(f"{self._client.base_url} sent what is not an answer") from error
        if sorted(result.index for result in answer.results) != list(range(len(texts))):
            raise RunFailed(f"{self._client.base_url} gave a document no score, or more than one")
        return answer

    async def _answered(self, method: str, path: str, body: Any, patience: float) -> httpx.Response:
        """A good answer; else InvalidRequest or ScoringFailed for the row, or RunFailed."""
        deadline = asyncio.get_running_loop().time() + patience

        async def attempt() -> httpx.Response:
            started = time.perf_counter()
            response = await self._client.request(method, path, json=body)
            if response.status_code in BUSY:
                self.refusals += response.status_code == 429
                response.raise_for_status()
            if body is not None:
                self.latencies.add(time.perf_counter() - started)
            return response

        async def patient() -> httpx.Response:
            response = await retried(attempt, WAITING, deadline)
            if response.status_code in TRYING.statuses:
                response.raise_for_status()
            return response

        try:
            response = await retried(patient, TRYING)
        except httpx.HTTPStatusError as error:
            response = error.response
        except (httpx.ReadTimeout, httpx.WriteTimeout) as error:
            raise ScoringFailed(f"the service did not answer within {TIMEOUT.read} s") from error
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise RunFailed(f"{self._client.base_url} cannot be reached: {reason}") from error
        return checked(response)


def checked(response: httpx.Response) -> httpx.Response:
    status = response.status_code
    if status == 200:
        return response
    problem = problem_of(response)
    detail = str(problem.get("detail") or response.reason_phrase)
    if status in REFUSED_ROW:
        raise InvalidRequest(detail, field=str(problem.get("field") or "row"))
    if status in TRYING.statuses:
        raise ScoringFailed(f"the service answered {status}: {detail}")
    raise RunFailed(f"{response.request.url} answered {status}: {detail}")


def problem_of(response: httpx.Response) -> dict[str, Any]:
    try:
        problem = response.json()
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def body_of(query: Query, texts: Sequence[str]) -> dict[str, Any]:
    """`top_n` and `min_score` are applied to the whole, so they are not sent."""
    body: dict[str, Any] = {
        "query": query.text,
        "documents": texts,
        "score": query.score,
        "truncate": query.truncate,
        "truncation_direction": query.cut,
    }
    if query.windows is not None:
        body["long_documents"] = "windows" if query.windows else "cut"
    if query.instruction is not None:
        body["instruction"] = query.instruction
    return body


def merge(query: Query, parts: Sequence[ServiceAnswer], size: int) -> Ranking:
    """Best first; equal scores in the order of the row."""
    scores: dict[int, float] = {}
    truncated: list[int] = []
    failed: list[int] = []
    for number, part in enumerate(parts):
        start = number * size
        scores |= {start + result.index: result.relevance_score for result in part.results}
        truncated += [start + index for index in part.usage.truncated_documents]
        failed += [start + index for index in part.usage.failed_documents]
    order = sorted(scores, key=lambda index: (-scores[index], index))
    results = [Result(index, scores[index]) for index in order]
    if query.min_score is not None:
        results = [result for result in results if result.score >= query.min_score]
    tokens = sum(part.usage.total_tokens for part in parts)
    return Ranking(
        query,
        results[: query.top_n],
        [scores[index] for index in range(len(scores))],
        Usage(tokens=tokens, truncated=truncated, failed=failed),
        warnings=list(dict.fromkeys(warning for part in parts for warning in part.warnings)),
        model=parts[0].model,
    )


class ServiceBlocks:
    """All queries of a block, as many at a time as the service is to get."""

    def __init__(self, service: Service, answered: Callable[[int], None]) -> None:
        """`answered` is called with the number of documents of each query that ended."""
        self._service = service
        self._answered = answered

    @property
    def facts(self) -> Mapping[str, Any]:
        return self._service.facts

    def figures(self) -> str:
        p50, p95, p99 = map(self._service.latencies.quantile, (0.5, 0.95, 0.99))
        return (
            f"p50 {p50 * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, "
            f"{self._service.refusals} answers of 429"
        )

    async def rank_all(self, queries: Sequence[Query]) -> list[Ranking | ServiceError]:
        try:
            async with asyncio.TaskGroup() as tasks:
                ranked = [tasks.create_task(self._rank(query)) for query in queries]
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        return [task.result() for task in ranked]

    async def _rank(self, query: Query) -> Ranking | ServiceError:
        try:
            return await self._service.rank(query)
        except (InvalidRequest, ScoringFailed) as error:  # the row's own; any other ends the run
            return error
        finally:
            self._answered(len(query.documents))


def address_of(url: str) -> httpx.URL:
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise Unusable(f"--url {url}: {error}") from error
    if address.scheme not in {"http", "https"} or not address.host:
        raise Unusable(f"--url {url}: must be like http://host:8000")
    return address


@asynccontextmanager
async def open_service(
    url: str,
    key: str | None,
    concurrency: int,
    transport: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[Service]:
    authorization = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(
        base_url=address_of(url),
        headers=ACCEPTED_ENCODINGS | authorization,
        timeout=TIMEOUT,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=concurrency),
        transport=transport,
    ) as client:
        service = Service(client, concurrency)
        await service.greet()
        yield service
