"""Both clients behind one blocking face, so that each test is about both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import httpx

from rerankd.answers import Answer, Source
from rerankd.client import AsyncClient, Client
from tests.virtual_time import VirtualTimeLoop

URL = "http://service.test"
Handler = Callable[[httpx.Request], httpx.Response]


class FakeClock:
    """Sleeping moves it, and takes no time."""

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


class Streamed:
    """What a caller saw of a stream, in order."""

    def __init__(self) -> None:
        self.sources: tuple[Source, ...] = ()
        self.pieces: list[str] = []
        self.answer: Answer | None = None


class Caller(Protocol):
    def now(self) -> float: ...

    def call(self, method: str, *args: Any, **options: Any) -> Any: ...

    def stream(
        self, seen: Streamed, at_piece: Callable[[], None], query: str, **options: Any
    ) -> None: ...


class SyncCaller:
    def __init__(self, client: Client, clock: FakeClock | None) -> None:
        self.client = client
        self.now = clock.now if clock else lambda: 0.0

    def call(self, method: str, *args: Any, **options: Any) -> Any:
        return getattr(self.client, method)(*args, **options)

    def stream(
        self, seen: Streamed, at_piece: Callable[[], None], query: str, **options: Any
    ) -> None:
        with self.client.stream_answer(query, **options) as stream:
            seen.sources = stream.sources
            for piece in stream:
                seen.pieces.append(piece)
                at_piece()
            seen.answer = stream.answer


class AsyncCaller:
    def __init__(self, client: AsyncClient, runner: asyncio.Runner) -> None:
        self.client = client
        self._runner = runner
        self.now = runner.get_loop().time

    def call(self, method: str, *args: Any, **options: Any) -> Any:
        return self._runner.run(getattr(self.client, method)(*args, **options))

    def stream(
        self, seen: Streamed, at_piece: Callable[[], None], query: str, **options: Any
    ) -> None:
        async def read() -> None:
            async with self.client.stream_answer(query, **options) as stream:
                seen.sources = stream.sources
                async for piece in stream:
                    seen.pieces.append(piece)
                    at_piece()
                seen.answer = stream.answer

        self._runner.run(read())


@contextmanager
def opened(
    kind: str, url: str = URL, handler: Handler | None = None, **options: Any
) -> Iterator[Caller]:
    """With a handler in the place of the network, time is virtual too."""
    transport = httpx.MockTransport(handler) if handler else None
    if kind == "sync":
        clock = FakeClock() if handler else None
        with Client(url, transport=transport, clock=clock, **options) as client:
            yield SyncCaller(client, clock)
        return
    loop_factory = VirtualTimeLoop if handler else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        asynchronous = AsyncClient(url, transport=transport, **options)
        try:
            yield AsyncCaller(asynchronous, runner)
        finally:
            runner.run(asynchronous.close())
