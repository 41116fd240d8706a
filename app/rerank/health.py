"""Several batches without a single score: is that the engine, or what it was given?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from app.errors import Refused
from app.rerank.batcher import Batcher
from app.rerank.engine import Pair

PROBE_EVERY = 5.0  # seconds


@asynccontextmanager
async def watched(batcher: Batcher, known: Pair) -> AsyncIterator[None]:
    task = asyncio.create_task(watch(batcher, known), name="watch")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def watch(batcher: Batcher, known: Pair) -> None:
    """Once suspected, the engine is asked for a score that it gave before, until it gives it.

    Without this it would stay unready for ever: no requests come that could show it works again.
    """
    while True:
        await batcher.suspected.wait()
        with suppress(Refused):  # for now
            (logit,) = (await batcher.submit([known])).logits
            if logit is None:
                batcher.problem = "the engine fails every batch"
            else:
                batcher.problem = None
                batcher.suspected.clear()
        await asyncio.sleep(PROBE_EVERY)
