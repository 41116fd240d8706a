"""Gives other tasks a turn in the event loop, and measures how late the loop is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.events import LoopLagged, Observe

# A longer block of the event loop is always measured, a shorter one only sometimes.
PERIOD_SECONDS = 0.05


async def pause() -> None:
    """Between two steps of a large request, let all other ready tasks run.

    Two sleeps: data that has arrived on a socket is queued after the first and before the second.
    """
    await asyncio.sleep(0)
    await asyncio.sleep(0)


@asynccontextmanager
async def loop_watched(observe: Observe) -> AsyncIterator[None]:
    task = asyncio.create_task(watch_loop(observe), name="loop lag")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def watch_loop(observe: Observe) -> None:
    """Observe repeatedly how much later than requested a sleeping task wakes."""
    now = asyncio.get_running_loop().time
    while True:
        due = now() + PERIOD_SECONDS
        await asyncio.sleep(PERIOD_SECONDS)
        observe(LoopLagged(max(0.0, now() - due)))
