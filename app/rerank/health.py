"""Checks that the engine works: detects batches without any score and calls that do not end."""

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
    """While the engine is suspected, score a pair that it scored before, until that succeeds.

    Without this the service would stay unready: it gets no requests that could show that the
    engine works again.
    """
    while True:
        await batcher.suspected.wait()
        with suppress(Refused):  # retried after PROBE_SECONDS
            (logit,) = (await batcher.submit([probe])).logits
            if logit is None:
                batcher.failing = "the engine fails every batch"
            else:
                batcher.failing = None
                batcher.suspected.clear()
        await asyncio.sleep(PROBE_SECONDS)


async def watch_calls(batcher: Batcher) -> None:
    """While a call of the engine hangs, refuse all jobs, so that callers do not wait in vain.

    The call cannot be ended. When it returns, the batcher accepts jobs again.
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
