"""How it is asked: callers that wait for their answer, or arrivals that wait for nobody."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from loadtest.wire import Answer, Client, ServerFailed
from loadtest.workload import Request

PATH = "/rerank"
BROKEN = 0  # the status of a request whose connection broke


@dataclass(frozen=True, slots=True)
class Sent:
    """One request; seconds since the traffic began."""

    request: Request
    due: float  # when it had to be sent
    ended: float
    status: int
    body: bytes
    retry_after: float = 0.0

    @property
    def seconds(self) -> float:
        return self.ended - self.due

    @property
    def documents(self) -> int:
        return len(self.request.documents)


async def send(client: Client, request: Request, due: float, started: float) -> Sent:
    try:
        answer = await client.post(PATH, request.body)
    except ServerFailed:
        answer = Answer(BROKEN, b"")
    ended = time.perf_counter() - started
    return Sent(request, due, ended, answer.status, answer.body, answer.retry_after)


async def closed_loop(
    client: Client, make: Callable[[], Request], callers: int, seconds: float
) -> list[Sent]:
    """Each caller asks again as soon as it is answered; the last answers are waited for."""
    started, sent = time.perf_counter(), list[Sent]()

    async def call() -> None:
        while (due := time.perf_counter() - started) < seconds:
            sent.append(await send(client, make(), due, started))

    await asyncio.gather(*(call() for _ in range(callers)))
    return sent


async def open_loop(
    client: Client, requests: Sequence[Request], arrivals: Sequence[float]
) -> list[Sent]:
    """Each request at its time, however long the others take: latency counts from that time."""
    started = time.perf_counter()

    async def send_at(due: float, request: Request) -> Sent:
        await asyncio.sleep(due - (time.perf_counter() - started))
        return await send(client, request, due, started)

    return await asyncio.gather(*map(send_at, arrivals, requests))


def poisson_arrivals(count: int, seconds: float, chance: random.Random) -> list[float]:
    """A Poisson process, given that just so many arrive: the load is what it is said to be."""
    return sorted(chance.uniform(0, seconds) for _ in range(count))


def answered(sent: Sequence[Sent]) -> list[Sent]:
    return [exchange for exchange in sent if exchange.status == 200]


def pairs_per_second(sent: Sequence[Sent]) -> float:
    """Over all that was done, until the last answer."""
    done = answered(sent)
    return sum(exchange.documents for exchange in done) / max(
        (exchange.ended for exchange in done), default=1.0
    )


def steady_rate(sent: Sequence[Sent], until: float) -> float:
    """Pairs a second from the first answer on, so that a standstill at the end counts."""
    done = sorted(
        (exchange for exchange in answered(sent) if exchange.ended <= until),
        key=lambda exchange: exchange.ended,
    )
    if len(done) < 2:
        return 0.0
    return sum(exchange.documents for exchange in done[1:]) / (until - done[0].ended)
