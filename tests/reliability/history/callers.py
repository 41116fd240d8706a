"""Callers of every temper: patient, resetting at a random byte, slow to read, slow to send."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from tests.reliability.history.checker import HANG_SECONDS, Exchange
from tests.reliability.history.connection import Answer, Broken, Connection, request
from tests.reliability.history.truth import Truth
from tests.reliability.history.wires import WIRES, Wire

SIZES = (1, 2, 5, 10, 30, 60)
PAUSE_AFTER_FAILURE = 0.05
SLOW_BUFFER = 2048  # bytes that a slow reader lets the kernel keep for it
SLOW_PAUSE = 0.05


@dataclass(frozen=True)
class Question:
    wire: Wire
    query: int
    texts: tuple[int, ...]
    message: bytes


class Caller:
    """Sends one request after the other until told to end; hands each exchange to `record`."""

    def __init__(
        self,
        truth: Truth,
        ports: Sequence[int],
        seed: str,
        record: Callable[[Exchange], None],
        *,
        rudeness: float,
    ) -> None:
        self._truth = truth
        self._ports = ports
        self._chance = random.Random(seed)
        self._record = record
        self._rudeness = rudeness  # the share of requests that are broken off or dawdled over
        self._connections: dict[int, Connection] = {}

    async def call_until(self, ended: Callable[[], bool]) -> None:
        try:
            while not ended():
                await self._call()
        finally:
            for connection in self._connections.values():
                connection.close()

    async def _call(self) -> None:
        question = self._draw()
        port = self._chance.choice(self._ports)
        if self._chance.random() < self._rudeness:
            await self._chance.choice((self._reset, self._read_slowly, self._send_slowly))(
                question, port
            )
        else:
            await self._exchange(question, port)

    def _draw(self) -> Question:
        wire = self._chance.choice(WIRES)
        query = self._chance.randrange(len(self._truth.queries))
        count = self._chance.choice(SIZES)
        texts = tuple(self._chance.sample(range(len(self._truth.texts)), count))
        body = wire.message(self._truth.queries[query], [self._truth.texts[text] for text in texts])
        return Question(wire, query, texts, request(wire.path, body))

    async def _exchange(self, question: Question, port: int) -> None:
        """On a connection that is kept, as most clients do. A stale one is opened anew, once."""
        connection = self._connections.pop(port, None)
        started = time.monotonic()
        if connection is not None and connection.reader.at_eof():
            connection.close()
            connection = None
        try:
            async with asyncio.timeout(HANG_SECONDS):
                connection = connection or await Connection.open(port)
                await connection.send(question.message)
                answer = await connection.receive()
        except TimeoutError:
            self._tell(question, started, timed_out=True)
        except Broken as error:
            self._tell(question, started, reason=str(error))
            await asyncio.sleep(PAUSE_AFTER_FAILURE)
        else:
            self._tell(question, started, answer)
            if answer.headers.get("connection", "").lower() != "close":
                self._connections[port] = connection
                return
        if connection is not None:
            connection.close()

    async def _reset(self, question: Question, port: int) -> None:
        """Break off at a random byte of the request, or while the answer is awaited."""
        started = time.monotonic()
        length = self._chance.randrange(1, len(question.message) + 1)
        with suppress(Broken):
            connection = await Connection.open(port)
            with suppress(Broken):
                await connection.send(question.message[:length])
                await asyncio.sleep(self._chance.random() * 0.05)
            connection.reset()
        self._tell(question, started, abandoned=True)

    async def _send_slowly(self, question: Question, port: int) -> None:
        await self._dawdle(question, port, pieces=self._chance.randint(2, 6))

    async def _read_slowly(self, question: Question, port: int) -> None:
        await self._dawdle(question, port, pieces=1)

    async def _dawdle(self, question: Question, port: int, pieces: int) -> None:
        started = time.monotonic()
        connection: Connection | None = None
        try:
            async with asyncio.timeout(HANG_SECONDS):
                connection = await Connection.open(port, receive_buffer=SLOW_BUFFER)
                size = -(-len(question.message) // pieces)
                for start in range(0, len(question.message), size):
                    await connection.send(question.message[start : start + size])
                    await asyncio.sleep(SLOW_PAUSE)
                answer = await connection.receive()
        except TimeoutError:
            self._tell(question, started, timed_out=True)
        except Broken as error:
            self._tell(question, started, reason=str(error))
        else:
            self._tell(question, started, answer)
        finally:
            if connection is not None:
                connection.close()

    def _tell(
        self,
        question: Question,
        started: float,
        answer: Answer | None = None,
        *,
        reason: str = "",
        abandoned: bool = False,
        timed_out: bool = False,
    ) -> None:
        self._record(
            Exchange(
                question.wire,
                question.query,
                question.texts,
                started,
                time.monotonic(),
                status=answer.status if answer else None,
                body=answer.body if answer else reason.encode(),
                by_proxy=answer is not None and not answer.by_service,
                abandoned=abandoned,
                timed_out=timed_out,
            )
        )
