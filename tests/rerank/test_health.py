from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.errors import EngineFailed
from app.rerank.batcher import Batcher, Limits
from app.rerank.calls import MIN_LIMIT_SECONDS
from app.rerank.health import PROBE_SECONDS, watched
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
        await asyncio.sleep(10 * PROBE_SECONDS)
        assert batcher.problem is not None
        engine.error = None
        await asyncio.sleep(PROBE_SECONDS)
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
        moments = [moment for moment, marks in engine.calls if marks == [KNOWN]]
    assert moments == [16.0, 23.0, 30.0]


@in_virtual_time
async def test_a_known_pair_that_finds_no_room_is_asked_for_later() -> None:
    engine = FakeEngine()
    engine.error = RuntimeError("device lost")
    async with watching(engine) as batcher:
        with batcher.expecting(1000):
            batcher.suspected.set()
            await settle()
        assert engine.calls == []
        await asyncio.sleep(PROBE_SECONDS)
        await settle()
    assert engine.calls == [(PROBE_SECONDS, [KNOWN])] * 2


@in_virtual_time
async def test_closing_does_not_wait_for_the_next_time_it_would_be_asked() -> None:
    engine = FakeEngine()
    engine.error = RuntimeError("device lost")
    async with watching(engine) as batcher:
        await ask(batcher, 3)
    assert now() == 0.0


def state(batcher: Batcher) -> tuple[str | None, float]:
    return batcher.problem, batcher.calls.age


HANGS = r"the engine has not answered a batch for \d+ s"


@in_virtual_time
async def test_an_engine_that_hangs_is_a_problem_and_whoever_waits_is_told() -> None:
    engine = FakeEngine(seconds=0.1)
    async with watching(engine) as batcher:
        await ask(batcher, 3)
        engine.seconds, started = 1000.0, now()
        running = asyncio.create_task(batcher.submit([pair(10, 1)]))
        await asyncio.sleep(1)
        waiting = asyncio.create_task(batcher.submit([pair(10, 2)]))
        await asyncio.sleep(MIN_LIMIT_SECONDS - 1.1)
        assert (batcher.problem, waiting.done()) == (None, False)
        assert batcher.calls.age == pytest.approx(MIN_LIMIT_SECONDS - 0.1)
        await asyncio.sleep(0.1)
        await settle()
        assert now() - started == pytest.approx(MIN_LIMIT_SECONDS)
        assert batcher.problem == "the engine has not answered a batch for 30 s"
        with pytest.raises(EngineFailed, match=HANGS) as refusal:
            await waiting
        assert refusal.value.retry_after >= 1
        with pytest.raises(EngineFailed, match=HANGS):
            await batcher.submit([pair(10, 3)])
        with pytest.raises(EngineFailed, match=HANGS), batcher.expecting(10):
            pass
        await asyncio.sleep(5.5)
        assert batcher.problem == "the engine has not answered a batch for 35 s"
        assert not running.done()
        running.cancel()


@in_virtual_time
async def test_an_engine_that_answers_after_all_is_taken_back_at_once() -> None:
    engine = FakeEngine(seconds=45.0)
    async with watching(engine) as batcher:
        running = asyncio.create_task(batcher.submit([pair(10, 1)]))
        await asyncio.sleep(44)
        assert batcher.problem is not None
        assert (await running).logits == [1.0]
        engine.seconds = 0.0
        await settle()
        assert state(batcher) == (None, 0.0)
        assert now() == 45.0
        assert (await batcher.submit([pair(10, 2)])).logits == [2.0]


@in_virtual_time
async def test_a_large_job_whose_slice_hangs_is_refused_as_a_whole_and_ends_once() -> None:
    engine = FakeEngine(seconds=45.0)
    async with watching(engine) as batcher:
        job = asyncio.create_task(batcher.submit([pair(10, 1), pair(10, 2)]))
        with pytest.raises(EngineFailed, match=HANGS):
            await job
        assert now() == MIN_LIMIT_SECONDS
        await asyncio.sleep(20)
        assert (batcher.problem, batcher.waiting_tokens, len(engine.calls)) == (None, 0, 1)


@in_virtual_time
async def test_a_slow_engine_does_not_hang() -> None:
    """What is expected of it grows with what it took before."""
    engine = FakeEngine(seconds=20.0)
    async with watching(engine) as batcher:
        await ask(batcher, 3)
        engine.seconds = 300.0
        running = asyncio.create_task(batcher.submit([pair(10, 1)]))
        await asyncio.sleep(299)
        assert batcher.problem is None
        assert (await running).logits == [1.0]


@in_virtual_time
async def test_calls_that_fail_after_a_while_count_each_for_itself() -> None:
    """A batch is halved when it fails: all its calls together may take long."""
    engine = FakeEngine(seconds=20.0)
    engine.error = RuntimeError("device lost")
    limits = Limits(max_batch_tokens=80, max_queue_tokens=1000)
    async with Batcher(engine.score, limits) as batcher, watched(batcher, pair(10, KNOWN)):
        await batcher.submit([pair(10, 1) for _ in range(8)])
        assert now() == 15 * 20.0
        assert batcher.problem is None
