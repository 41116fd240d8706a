"""When a batch leaves, in which order, and what is told of it."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from app.errors import Draining
from app.events import BatchDone, Event, PairsWithdrawn
from app.rerank.batcher import Batcher, Limits
from app.rerank.submission import JOBS_BETWEEN_PAUSES
from tests.fakes import FakeEngine, after, pair
from tests.rerank.bench import learn_pace, open_batcher, pairs
from tests.virtual_time import in_virtual_time, now

pytestmark = pytest.mark.anyio


@in_virtual_time
async def test_a_batch_leaves_the_moment_the_engine_is_free() -> None:
    engine = FakeEngine()
    async with open_batcher(engine) as batcher:
        await asyncio.sleep(1.5)
        await batcher.submit(pairs(7))
    assert engine.calls == [(1.5, [7])]


@in_virtual_time
async def test_a_batch_is_not_held_unless_that_is_asked_for() -> None:
    engine = FakeEngine()
    async with Batcher(engine.score, Limits(40, 100)) as batcher:
        await batcher.submit(pairs(7))
    assert engine.calls == [(0.0, [7])]


@in_virtual_time
async def test_no_pairs_have_no_scores_and_take_no_time() -> None:
    async with open_batcher(FakeEngine()) as batcher:
        job = await batcher.submit([])
    assert (job.logits, job.queue, job.compute) == ([], 0.0, 0.0)


@in_virtual_time
async def test_what_arrives_while_a_batch_computes_is_the_next_batch() -> None:
    engine = FakeEngine(seconds=1.0)
    async with open_batcher(engine) as batcher:
        answers = await asyncio.gather(
            batcher.submit(pairs(1)),
            after(0.2, batcher.submit(pairs(2))),
            after(0.7, batcher.submit(pairs(3, 4))),
        )
    assert engine.calls == [(0.0, [1]), (1.0, [2, 4, 3])]
    assert [answer.logits for answer in answers] == [[1.0], [2.0], [3.0, 4.0]]


@in_virtual_time
async def test_an_engine_of_several_streams_is_given_a_second_batch_while_the_first_runs() -> None:
    engine, events = FakeEngine(seconds=1.0), list[Event]()
    async with open_batcher(engine, events, batch=20, at_once=2) as batcher:
        answers = await asyncio.gather(
            batcher.submit(pairs(1)),
            after(0.2, batcher.submit(pairs(2))),
            after(0.3, batcher.submit(pairs(3, 4))),
        )
        assert batcher.pace.tokens_per_second == pytest.approx(40 / 2.0, rel=0.1)
    assert engine.calls == [(0.0, [1]), (0.2, [2]), (1.0, [4, 3])]
    assert [answer.logits for answer in answers] == [[1.0], [2.0], [3.0, 4.0]]
    # Time that two batches share is counted once.
    seconds = [event.seconds for event in events if isinstance(event, BatchDone)]
    assert seconds == pytest.approx([1.0, 0.2, 0.8])


@in_virtual_time
async def test_closing_lets_both_batches_end() -> None:
    engine = FakeEngine(seconds=1.0)
    batcher = open_batcher(engine, at_once=2)
    async with batcher:
        first = asyncio.create_task(batcher.submit(pairs(1)))
        second = asyncio.create_task(after(0.5, batcher.submit(pairs(2))))
        await asyncio.sleep(0.6)
    assert [(await task).logits for task in (first, second)] == [[1.0], [2.0]]


@in_virtual_time
async def test_a_batch_that_is_not_full_may_be_held_from_its_oldest_arrival() -> None:
    engine = FakeEngine()
    async with open_batcher(engine, max_wait=0.005) as batcher:
        await asyncio.gather(batcher.submit(pairs(1)), after(0.004, batcher.submit(pairs(2))))
    assert engine.calls == [(0.005, [1, 2])]


@in_virtual_time
async def test_a_full_batch_is_not_held() -> None:
    engine = FakeEngine()
    async with open_batcher(engine, max_wait=0.005) as batcher:
        await asyncio.gather(batcher.submit(pairs(1, 2)), after(0.001, batcher.submit(pairs(3, 4))))
    assert [moment for moment, _ in engine.calls] == [0.001]


@in_virtual_time
async def test_time_behind_a_running_batch_counts_as_holding() -> None:
    engine = FakeEngine(seconds=1.0)
    async with open_batcher(engine, max_wait=0.1) as batcher:
        await asyncio.gather(batcher.submit(pairs(1)), after(0.5, batcher.submit(pairs(2))))
    assert engine.calls == [(0.1, [1]), (1.1, [2])]


@in_virtual_time
async def test_a_small_job_waits_for_one_slice_of_a_large_one_and_not_for_all() -> None:
    engine = FakeEngine(per_token=0.01)
    async with open_batcher(engine) as batcher:
        await learn_pace(batcher)
        large = asyncio.create_task(batcher.submit(pairs(*range(100))))
        await asyncio.sleep(1.0)
        started = now()
        await batcher.submit(pairs(200, 201))
        waited = now() - started
        await large
    slice_seconds = 0.4
    assert waited <= 2 * slice_seconds


@in_virtual_time
async def test_under_a_stream_of_small_jobs_a_large_one_still_ends() -> None:
    engine = FakeEngine(per_token=0.01)
    async with open_batcher(engine, queue=10_000) as batcher:
        await learn_pace(batcher)
        large = asyncio.create_task(batcher.submit(pairs(*range(20))))
        small: list[asyncio.Task[Any]] = []
        for _ in range(200):  # twice what the engine can do
            small.append(asyncio.create_task(batcher.submit(pairs(300, 301))))
            await asyncio.sleep(0.1)
        done_at_end_of_stream = large.done()
        await asyncio.gather(large, *small)
    assert done_at_end_of_stream


@in_virtual_time
async def test_a_lower_priority_goes_behind_its_equals() -> None:
    engine = FakeEngine(seconds=1.0)
    async with open_batcher(engine, batch=10) as batcher:
        running = asyncio.create_task(batcher.submit(pairs(1)))
        await asyncio.sleep(0.5)
        await asyncio.gather(
            batcher.submit(pairs(2), priority=5), after(0.01, batcher.submit(pairs(3))), running
        )
    assert engine.batches == [[1], [3], [2]]


@in_virtual_time
async def test_a_deadline_brings_a_job_forward() -> None:
    engine = FakeEngine(per_token=0.01)
    async with open_batcher(engine, batch=10) as batcher:
        await learn_pace(batcher)
        running = asyncio.create_task(batcher.submit(pairs(2)))
        await asyncio.sleep(0.01)
        patient = batcher.submit(pairs(3))
        pressed = after(0.001, batcher.submit(pairs(4), deadline=now() + 0.3))
        await asyncio.gather(running, patient, pressed)
    assert engine.batches == [[1], [2], [4], [3]]


@in_virtual_time
async def test_closing_lets_the_running_batch_end_and_refuses_what_waits() -> None:
    async with open_batcher(FakeEngine(seconds=1.0), batch=10) as batcher:
        running = asyncio.create_task(batcher.submit(pairs(1)))
        await asyncio.sleep(0.5)
        waiting = asyncio.create_task(batcher.submit(pairs(2)))
        await asyncio.sleep(0)
    assert (await running).logits == [1.0]
    with pytest.raises(Draining):
        await waiting
    with pytest.raises(Draining):
        await batcher.submit(pairs(3))


@in_virtual_time
async def test_waiting_and_computing_are_told_apart() -> None:
    async with open_batcher(FakeEngine(seconds=0.25)) as batcher:
        first = asyncio.create_task(batcher.submit(pairs(1)))
        second = await after(0.1, batcher.submit(pairs(2)))
        await first
    assert (round(second.queue, 6), round(second.compute, 6)) == (0.15, 0.25)


@in_virtual_time
async def test_a_batch_reports_its_size_and_its_padding() -> None:
    events: list[Event] = []
    async with open_batcher(FakeEngine(seconds=0.5), events, batch=100) as batcher:
        await batcher.submit([pair(30, 1), pair(10, 2)])
    assert events == [BatchDone(pairs=2, tokens=40, padding=20, seconds=0.5, failed=0, budget=100)]


@in_virtual_time
async def test_the_pace_is_learnt_from_what_batches_took() -> None:
    async with open_batcher(FakeEngine(per_token=0.01)) as batcher:
        assert batcher.pace.tokens_per_second == 0
        await batcher.submit(pairs(1, 2))
        assert batcher.pace.tokens_per_second == pytest.approx(100)


@in_virtual_time
async def test_what_a_deadline_overtakes_is_withdrawn_and_counted() -> None:
    engine, events = FakeEngine(seconds=1.0), list[Event]()
    async with open_batcher(engine, events, batch=10) as batcher:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await batcher.submit(pairs(1, 2, 3))
        await asyncio.sleep(1)
    assert len(engine.calls) == 1
    assert PairsWithdrawn(2) in events


@in_virtual_time
async def test_other_tasks_run_while_the_jobs_of_a_large_batch_are_ended() -> None:
    ended: list[int] = []
    seen = [0]

    async def call(batcher: Batcher, mark: int) -> None:
        await batcher.submit(pairs(mark))
        ended.append(mark)

    engine = FakeEngine(seconds=1.0)
    async with (
        open_batcher(engine, batch=10_000, queue=10_000) as batcher,
        asyncio.TaskGroup() as calls,
    ):
        first = calls.create_task(batcher.submit(pairs(0)))
        for mark in range(1, 500):
            calls.create_task(call(batcher, mark))
        await first
        while len(ended) < 499:
            await asyncio.sleep(0)
            seen.append(len(ended))
    assert len(engine.batches) == 1
    assert max(later - earlier for earlier, later in pairwise(seen)) <= 2 * JOBS_BETWEEN_PAUSES


@in_virtual_time
async def test_the_jobs_of_a_small_batch_end_together() -> None:
    async with open_batcher(FakeEngine(seconds=1.0), batch=100) as batcher:
        calls = [asyncio.create_task(batcher.submit(pairs(mark))) for mark in range(5)]
        await calls[0]
        assert all(call.done() for call in calls)
