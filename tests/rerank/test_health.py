from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.rerank.batcher import Batcher, Limits
from app.rerank.health import PROBE_EVERY, watched
from tests.fakes import FakeEngine, pair
from tests.virtual_time import in_virtual_time, now

KNOWN = 99


@asynccontextmanager
async def watching(engine: FakeEngine) -> AsyncIterator[Batcher]:
    limits = Limits(max_batch_tokens=10, max_queue_tokens=1000)
    async with Batcher(engine.score, limits) as batcher, watched(batcher, pair(10, KNOWN)):
        yield batcher


async def ask(batcher: Batcher, times: int) -> None:
    for _ in range(times):
        await batcher.submit([pair(10, 1)])
    await settle()


async def settle() -> None:
    """Let the watch act on what has just happened, and no time pass."""
    for _ in range(20):
        await asyncio.sleep(0)


@in_virtual_time
async def test_an_engine_that_fails_every_batch_is_a_problem() -> None:
    engine = FakeEngine()
    engine.error = RuntimeError("device lost")
    async with watching(engine) as batcher:
        await ask(batcher, 2)
        assert batcher.problem is None
        await ask(batcher, 1)
        assert batcher.problem == "the engine fails every batch"


@in_virtual_time
async def test_an_engine_that_recovers_is_found_out_without_any_request() -> None:
    engine = FakeEngine()
    engine.error = RuntimeError("device lost")
    async with watching(engine) as batcher:
        await ask(batcher, 3)
        await asyncio.sleep(10 * PROBE_EVERY)
        assert batcher.problem is not None
        engine.error = None
        await asyncio.sleep(PROBE_EVERY)
        await settle()
        assert batcher.problem is None


@in_virtual_time
async def test_documents_that_cannot_be_scored_are_not_the_engines_fault() -> None:
    engine = FakeEngine(seconds=0.1)
    engine.poison = {1}
    async with watching(engine) as batcher:
        for _ in range(20):
            await ask(batcher, 3)
            assert batcher.problem is None


@in_virtual_time
async def test_a_known_pair_is_asked_for_only_when_there_is_a_doubt_and_not_too_often() -> None:
    engine = FakeEngine(seconds=1.0)
    async with watching(engine) as batcher:
        await ask(batcher, 10)
        assert [KNOWN] not in engine.batches
        engine.poison = {1}
        await ask(batcher, 10)
        asked = [moment for moment, marks in engine.calls if marks == [KNOWN]]
    assert asked == [13.0, 19.0]


@in_virtual_time
async def test_a_known_pair_that_finds_no_room_is_asked_for_later() -> None:
    engine = FakeEngine()
    engine.error = RuntimeError("device lost")
    async with watching(engine) as batcher:
        with batcher.expecting(1000):
            batcher.suspected.set()
            await settle()
        assert engine.calls == []
        await asyncio.sleep(PROBE_EVERY)
        await settle()
    assert engine.calls == [(PROBE_EVERY, [KNOWN])]


@in_virtual_time
async def test_closing_does_not_wait_for_the_next_time_it_would_be_asked() -> None:
    engine = FakeEngine()
    engine.error = RuntimeError("device lost")
    async with watching(engine) as batcher:
        await ask(batcher, 3)
    assert now() == 0.0
