"""Callers with a time limit who try again: at once, as naive ones do, or when they are told to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from loadtest.traffic import send
from loadtest.wire import Client
from loadtest.workload import Request

Manner = Literal["naive", "honours Retry-After"]
NAIVE: Manner = "naive"
HONOURS: Manner = "honours Retry-After"


@dataclass(frozen=True, slots=True)
class Policy:
    manner: Manner
    timeout: float = 2.0  # seconds that one attempt may take
    attempts: int = 4


@dataclass(frozen=True, slots=True)
class Call:
    """One question of a user, with all its attempts. Seconds since the traffic began."""

    due: float
    ended: float
    attempts: int
    answered: bool


async def call(
    client: Client, request: Request, due: float, started: float, policy: Policy
) -> Call:
    attempts = 0
    while True:
        attempts += 1
        pause = 0.0
        try:
            async with asyncio.timeout(policy.timeout):
                sent = await send(client, request, due, started)
        except TimeoutError:
            sent = None
        if sent is not None and sent.status == 200:
            return Call(due, sent.ended, attempts, answered=True)
        if attempts == policy.attempts:
            return Call(due, time.perf_counter() - started, attempts, answered=False)
        if policy.manner == HONOURS and sent is not None:
            pause = sent.retry_after
        await asyncio.sleep(pause)


async def call_in_open_loop(
    client: Client, requests: Sequence[Request], arrivals: Sequence[float], policy: Policy
) -> list[Call]:
    """Users arrive at their times, however the others fare."""
    started = time.perf_counter()

    async def call_at(due: float, request: Request) -> Call:
        await asyncio.sleep(due - (time.perf_counter() - started))
        return await call(client, request, due, started, policy)

    return await asyncio.gather(*map(call_at, arrivals, requests))


def per_second(calls: Sequence[Call], seconds: float) -> list[int]:
    """Answered calls by the second in which the answer came."""
    counts = [0] * (int(seconds) + 1)
    for call in calls:
        if call.answered and call.ended < len(counts):
            counts[int(call.ended)] += 1
    return counts
