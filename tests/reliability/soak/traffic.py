"""What callers do in the course of a day, good and bad, drawn at random from one seed."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from tests.reliability.history.connection import Answer, Broken, Connection, request
from tests.reliability.history.truth import WORDS
from tests.reliability.history.wires import WIRES
from tests.reliability.soak.trend import Latency

LIMIT_SECONDS = 60.0
SHAPE_WORDS = range(4, 64, 4)
SHAPE_DOCUMENTS = range(1, 33)
SLICE_WORDS = 400  # about as many as the engine computes at once
PROBE_DOCUMENTS = 10
EXPECTED = {
    "rerank": {200, 429},
    "answer": {200, 429},
    "feedback": {204, 404, 507},
    "bad": {400, 413, 415, 422},
    "operations": {200},
}


class Traffic:
    def __init__(self, port: int, seed: int, texts: list[str]) -> None:
        self._port = port
        self._chance = random.Random(seed)
        self._texts = texts
        self._idle: list[Connection] = []
        self._answers: list[str] = []  # ids, for feedback
        self.statuses: Counter[str] = Counter()
        self.unexpected: list[str] = []
        self.latencies: list[Latency] = []

    async def run(self, rate: float, seconds: float) -> None:
        """An open loop: requests begin at their times, however the others fare."""
        started, due = time.monotonic(), 0.0
        async with asyncio.TaskGroup() as tasks:
            while (due := due + self._chance.expovariate(rate)) < seconds:
                await asyncio.sleep(started + due - time.monotonic())
                tasks.create_task(self._draw()(started))
        await self.close()

    async def close(self) -> None:
        while self._idle:
            self._idle.pop().close()
        await asyncio.sleep(0.01)  # for the transports to end

    async def peak(self, callers: int, seconds: float) -> float:
        """Requests a second when callers wait for their answers."""
        end = time.monotonic() + seconds
        count = 0

        async def call() -> None:
            nonlocal count
            while time.monotonic() < end:
                await self._draw()(time.monotonic())
                count += 1

        await asyncio.gather(*(call() for _ in range(callers)))
        await self.close()
        return count / seconds

    async def shapes(self, seconds: float) -> int:
        """Batches of every size and width. The engine keeps memory for each shape that it has seen.

        Rare shapes come for the first time after hours, and then look like a leak.
        """
        sizes = [
            (words, documents)
            for words in SHAPE_WORDS
            for documents in SHAPE_DOCUMENTS
            if words * documents <= SLICE_WORDS
        ]
        end, sent = time.monotonic() + seconds, 0
        for words, documents in sizes:
            if time.monotonic() >= end:
                break
            texts = [" ".join(self._chance.choices(WORDS, k=words)) for _ in range(documents)]
            body = {"query": self._query(), "documents": texts}
            await self._exchange("rerank", "/rerank", json.dumps(body).encode())
            sent += 1
        await self.close()
        return sent

    def _draw(self) -> Callable[[float], Coroutine[Any, Any, None]]:
        kinds = (self._probe, self._rerank, self._answer, self._feedback, self._bad)
        rare = (self._operations, self._leave)
        return self._chance.choices((*kinds, *rare), (25, 45, 8, 4, 8, 5, 5))[0]

    def _documents(self, count: int) -> list[str]:
        return self._chance.choices(self._texts, k=count)

    def _query(self) -> str:
        return " ".join(self._chance.sample(WORDS, 4))

    async def _probe(self, started: float) -> None:
        """The request whose latency is followed: always of one size, never cached."""
        body = {"query": self._query(), "documents": self._documents(PROBE_DOCUMENTS)}
        begun = time.monotonic()
        answer = await self._exchange("rerank", "/rerank", json.dumps(body).encode())
        if answer is not None and answer.status == 200:
            now = time.monotonic()
            self.latencies.append(Latency(now - started, now - begun))

    async def _rerank(self, _: float) -> None:
        wire = self._chance.choice(WIRES)
        count = self._chance.choice((1, 2, 5, 20))
        await self._exchange(
            "rerank", wire.path, wire.message(self._query(), self._documents(count))
        )

    async def _answer(self, _: float) -> None:
        body = {"query": self._query(), "stream": self._chance.random() < 0.3, "initial_k": 10}
        answer = await self._exchange("answer", "/answer", json.dumps(body).encode())
        if answer is not None and answer.status == 200 and not body["stream"]:
            self._answers = [json.loads(answer.body)["id"], *self._answers[:20]]

    async def _feedback(self, _: float) -> None:
        name = self._chance.choice(self._answers) if self._answers else "unknown"
        body = json.dumps({"useful": self._chance.choice(("up", "down"))}).encode()
        await self._exchange("feedback", f"/answer/{name}/feedback", body)

    async def _bad(self, _: float) -> None:
        body = self._chance.choice(
            (
                b"",
                b"{",
                b"[]",
                b'{"query": "q"}',
                b'{"query": "q", "documents": []}',
                b"\xff" * 2000,
            )
        )
        await self._exchange("bad", "/rerank", body)

    async def _operations(self, _: float) -> None:
        path = self._chance.choice(("/healthz", "/readyz", "/metrics", "/info", "/openapi.json"))
        await self._send("operations", f"GET {path} HTTP/1.1\r\nHost: soak\r\n\r\n".encode())

    async def _leave(self, _: float) -> None:
        """Go away while the answer is computed."""
        body = {"query": self._query(), "documents": self._documents(20)}
        with suppress(Broken):
            connection = await Connection.open(self._port)
            await connection.send(request("/rerank", json.dumps(body).encode()))
            await asyncio.sleep(self._chance.random() * 0.02)
            connection.reset()
        self.statuses["left"] += 1

    async def _exchange(self, kind: str, path: str, body: bytes) -> Answer | None:
        return await self._send(kind, request(path, body))

    async def _send(self, kind: str, message: bytes) -> Answer | None:
        connection = self._idle.pop() if self._idle else None
        if connection is not None and connection.reader.at_eof():
            connection.close()
            connection = None
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                connection = connection or await Connection.open(self._port)
                await connection.send(message)
                answer = await connection.receive()
        except (Broken, TimeoutError) as error:
            if connection is not None:
                connection.close()
            self.unexpected.append(f"{kind}: {type(error).__name__} {error}")
            return None
        self._keep(connection, answer)
        self.statuses[f"{kind} {answer.status}"] += 1
        if answer.status not in EXPECTED[kind]:
            self.unexpected.append(f"{kind}: status {answer.status} {answer.body[:200]!r}")
        return answer

    def _keep(self, connection: Connection, answer: Answer) -> None:
        """A stream has no length: its connection is read no further."""
        whole = "content-length" in answer.headers or answer.status == 204
        if whole and answer.headers.get("connection", "").lower() != "close":
            self._idle.append(connection)
        else:
            connection.close()
