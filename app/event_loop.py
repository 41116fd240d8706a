"""Keeps the event loop free for everybody, and watches whether it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.events import LoopLagged, Observe

# A shorter hold of the loop is seen by chance, a longer one always.
PERIOD_SECONDS = 0.05


async def pause() -> None:
    """Between two steps of a large request, let all others run that are ready.

    Twice: what came in over a socket meanwhile is queued behind the first, and before the second.
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
    """Observe, again and again, how much later than it asked a sleeping task wakes."""
    now = asyncio.get_running_loop().time
    while True:
        due = now() + PERIOD_SECONDS
        await asyncio.sleep(PERIOD_SECONDS)
        observe(LoopLagged(max(0.0, now() - due)))
