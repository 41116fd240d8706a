"""Whether the engine works: batches without a single score, and calls that do not end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from app.engines import Pair
from app.errors import Refused
from app.rerank.batcher import Batcher

PROBE_SECONDS = 5.0
HANGING_REPORT_SECONDS = 1.0


@asynccontextmanager
async def watched(batcher: Batcher, probe: Pair) -> AsyncIterator[None]:
    tasks = [
        asyncio.create_task(watch_scores(batcher, probe), name="watch scores"),
        asyncio.create_task(watch_calls(batcher), name="watch calls"),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def watch_scores(batcher: Batcher, probe: Pair) -> None:
    """Once suspected, the engine is asked for a score that it gave before, until it gives it.

    Without this it would stay unready for ever: no requests come that could show it works again.
    """
    while True:
        await batcher.suspected.wait()
        with suppress(Refused):  # for now
            (logit,) = (await batcher.submit([probe])).logits
            if logit is None:
                batcher.failing = "the engine fails every batch"
            else:
                batcher.failing = None
                batcher.suspected.clear()
        await asyncio.sleep(PROBE_SECONDS)


async def watch_calls(batcher: Batcher) -> None:
    """An engine that hangs raises nothing: callers would wait for it until their limits.

    Its call cannot be ended, so all that is left is to say so, and to go on once it answers.
    """
    calls = batcher.calls
    while True:
        calls.changed.clear()
        if calls.overdue:
            batcher.hold_back(f"the engine has not answered a batch for {calls.age:.0f} s")
            until: float | None = asyncio.get_running_loop().time() + HANGING_REPORT_SECONDS
        else:
            batcher.hold_back(None)
            until = calls.next_overdue
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await calls.changed.wait()
