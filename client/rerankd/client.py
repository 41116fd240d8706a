"""The clients of a rerankd service.

    from rerankd.client import Client

    with Client("http://127.0.0.1:8000") as client:
        ranking = client.rerank("how long may I keep the book?", documents, top_n=3)
        for result in ranking.results:
            print(result.index, result.score, result.text)

`AsyncClient` has the same methods as coroutines. The limit `timeout`, in seconds, is that of a
whole call with its retries; the service is given what is left of it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Self, Unpack

import httpx

from rerankd.answers import Answer, AnswerOptions, Citation, Info, Source, Turn, Verdict
from rerankd.calls import Calls, address_of, headers_of
from rerankd.driving import AsyncDriver, Clock, Driver, SystemClock
from rerankd.errors import (
    ClientTimeout,
    ConnectionFailed,
    IncomparableScores,
    InvalidInput,
    InvalidRequest,
    NotFound,
    Overloaded,
    Problem,
    RerankdError,
    ServiceError,
    ServiceTimeout,
    Unauthorized,
    Unavailable,
    UnreadableResponse,
)
from rerankd.ranking import Document, DocumentT, Ranking, RerankOptions, Result
from rerankd.retries import RetryPolicy
from rerankd.streaming import AnswerStream, AsyncAnswerStream

__all__ = [
    "Answer",
    "AnswerStream",
    "AsyncAnswerStream",
    "AsyncClient",
    "Citation",
    "Client",
    "ClientTimeout",
    "ConnectionFailed",
    "Document",
    "IncomparableScores",
    "Info",
    "InvalidInput",
    "InvalidRequest",
    "NotFound",
    "Overloaded",
    "Problem",
    "Ranking",
    "RerankdError",
    "Result",
    "RetryPolicy",
    "ServiceError",
    "ServiceTimeout",
    "Source",
    "Turn",
    "Unauthorized",
    "Unavailable",
    "UnreadableResponse",
]

DEFAULT_SECONDS = 60.0
DEFAULT_RETRIES = 3


class Client:
    """Calls a service, and blocks until it has answered. Threads may share it."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        timeout: float = DEFAULT_SECONDS,
        retries: int | RetryPolicy = DEFAULT_RETRIES,
        headers: Mapping[str, str] | None = None,
        verify: ssl.SSLContext | bool = True,
        transport: httpx.BaseTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or SystemClock()
        self._calls = Calls(timeout, retries, clock.now)
        self._http = httpx.Client(
            base_url=address_of(url),
            headers=headers_of(api_key, headers),
            verify=verify,
            transport=transport,
        )
        self._driver = Driver(self._http, clock)

    def rerank(
        self,
        query: str,
        documents: Sequence[DocumentT],
        *,
        top_n: int | None = None,
        timeout: float | None = None,
        **options: Unpack[RerankOptions],
    ) -> Ranking[DocumentT]:
        """Rank the documents: texts, or mappings with `text`. `top_n` of 0 or None: all."""
        return self._driver.run(self._calls.rerank(query, documents, top_n, timeout, options))

    def answer(
        self, query: str, *, timeout: float | None = None, **options: Unpack[AnswerOptions]
    ) -> Answer:
        """Answer a question from the documents of the service's store."""
        return self._driver.run(self._calls.answer(query, timeout, options))

    @contextmanager
    def stream_answer(
        self, query: str, *, timeout: float | None = None, **options: Unpack[AnswerOptions]
    ) -> Iterator[AnswerStream]:
        """The answer while it is written: iterate over its text; the sources are there before."""
        deadline = self._calls.deadline(timeout)
        response = self._driver.run(self._calls.open_stream(query, deadline, options))
        try:
            stream = AnswerStream(response, deadline)
            stream.begin()
            yield stream
        finally:
            response.close()

    def feedback(
        self,
        answer_id: str,
        useful: Verdict,
        *,
        source: str | None = None,
        comment: str | None = None,
        timeout: float | None = None,
    ) -> None:
        """Say whether an answer was good, and the id of the source that is the right one."""
        self._driver.run(self._calls.feedback(answer_id, useful, source, comment, timeout))

    def info(self, *, timeout: float | None = None) -> Info:
        """The version, the state, the model and the limits of the service."""
        return self._driver.run(self._calls.info(timeout))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncClient:
    """The same for asyncio."""

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        timeout: float = DEFAULT_SECONDS,
        retries: int | RetryPolicy = DEFAULT_RETRIES,
        headers: Mapping[str, str] | None = None,
        verify: ssl.SSLContext | bool = True,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._calls = Calls(timeout, retries, lambda: asyncio.get_running_loop().time())
        self._http = httpx.AsyncClient(
            base_url=address_of(url),
            headers=headers_of(api_key, headers),
            verify=verify,
            transport=transport,
        )
        self._driver = AsyncDriver(self._http)

    async def rerank(
        self,
        query: str,
        documents: Sequence[DocumentT],
        *,
        top_n: int | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 (it is that of the service, too)
        **options: Unpack[RerankOptions],
    ) -> Ranking[DocumentT]:
        """Rank the documents: texts, or mappings with `text`. `top_n` of 0 or None: all."""
        return await self._driver.run(self._calls.rerank(query, documents, top_n, timeout, options))

    async def answer(
        self,
        query: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109
        **options: Unpack[AnswerOptions],
    ) -> Answer:
        """Answer a question from the documents of the service's store."""
        return await self._driver.run(self._calls.answer(query, timeout, options))

    @asynccontextmanager
    async def stream_answer(
        self,
        query: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109
        **options: Unpack[AnswerOptions],
    ) -> AsyncIterator[AsyncAnswerStream]:
        """The answer while it is written: iterate over its text; the sources are there before."""
        deadline = self._calls.deadline(timeout)
        response = await self._driver.run(self._calls.open_stream(query, deadline, options))
        try:
            stream = AsyncAnswerStream(response, deadline)
            await stream.begin()
            yield stream
        finally:
            await response.aclose()

    async def feedback(
        self,
        answer_id: str,
        useful: Verdict,
        *,
        source: str | None = None,
        comment: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> None:
        """Say whether an answer was good, and the id of the source that is the right one."""
        await self._driver.run(self._calls.feedback(answer_id, useful, source, comment, timeout))

    async def info(self, *, timeout: float | None = None) -> Info:  # noqa: ASYNC109
        """The version, the state, the model and the limits of the service."""
        return await self._driver.run(self._calls.info(timeout))

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
