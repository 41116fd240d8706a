from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from app.errors import DeadlineExceeded, Draining, InvalidRequest, QueueFull
from app.rerank.batcher import Batcher, Limits
from app.rerank.engine import Pair
from app.rerank.events import BatchDone, Withdrawn
from tests.fakes import FakeEngine, after, pair
from tests.virtual_time import in_virtual_time, now


def pairs(*marks: int, tokens: int = 10) -> list[Pair]:
    return [pair(tokens, mark) for mark in marks]


def batcher(
    engine: FakeEngine,
    events: list[BatchDone | Withdrawn] | None = None,
    *,
    batch: int = 40,
    queue: int = 1000,
    max_wait: float = 0.0,
    at_once: int = 1,
) -> Batcher:
    observe = events.append if events is not None else lambda event: None
    return Batcher(engine.score, Limits(batch, queue, max_wait, at_once), observe)


async def learn_pace(one: Batcher) -> None:
    await one.submit(pairs(1))


# --- when a batch leaves ------------------------------------------------------------------


@in_virtual_time
async def test_a_batch_leaves_the_moment_the_engine_is_free() -> None:
    engine = FakeEngine()
    async with batcher(engine) as one:
        await asyncio.sleep(1.5)
        await one.submit(pairs(7))
    assert engine.calls == [(1.5, [7])]


@in_virtual_time
async def test_what_arrives_while_a_batch_computes_is_the_next_batch() -> None:
    engine = FakeEngine(seconds=1.0)
    async with batcher(engine) as one:
        answers = await asyncio.gather(
            one.submit(pairs(1)),
            after(0.2, one.submit(pairs(2))),
            after(0.7, one.submit(pairs(3, 4))),
        )
    assert engine.calls == [(0.0, [1]), (1.0, [2, 4, 3])]
    assert [answer.logits for answer in answers] == [[1.0], [2.0], [3.0, 4.0]]


@in_virtual_time
async def test_an_engine_of_several_streams_is_given_a_second_batch_while_the_first_runs() -> None:
    engine, events = FakeEngine(seconds=1.0), list[BatchDone | Withdrawn]()
    async with batcher(engine, events, batch=20, at_once=2) as one:
        answers = await asyncio.gather(
            one.submit(pairs(1)),
            after(0.2, one.submit(pairs(2))),
            after(0.3, one.submit(pairs(3, 4))),
        )
        assert one.pace.tokens_per_second == pytest.approx(40 / 2.0, rel=0.1)
    assert engine.calls == [(0.0, [1]), (0.2, [2]), (1.0, [4, 3])]
    assert [answer.logits for answer in answers] == [[1.0], [2.0], [3.0, 4.0]]
    # Time that two batches share is counted once.
    seconds = [event.seconds for event in events if isinstance(event, BatchDone)]
    assert seconds == pytest.approx([1.0, 0.2, 0.8])


@in_virtual_time
async def test_closing_lets_both_batches_end() -> None:
    engine = FakeEngine(seconds=1.0)
    one = batcher(engine, at_once=2)
    async with one:
        first = asyncio.create_task(one.submit(pairs(1)))
        second = asyncio.create_task(after(0.5, one.submit(pairs(2))))
        await asyncio.sleep(0.6)
    assert [(await task).logits for task in (first, second)] == [[1.0], [2.0]]


@in_virtual_time
async def test_a_batch_that_is_not_full_may_be_held_from_its_oldest_arrival() -> None:
    engine = FakeEngine()
    async with batcher(engine, max_wait=0.005) as one:
        await asyncio.gather(one.submit(pairs(1)), after(0.004, one.submit(pairs(2))))
    assert engine.calls == [(0.005, [1, 2])]


@in_virtual_time
async def test_a_full_batch_is_not_held() -> None:
    engine = FakeEngine()
    async with batcher(engine, max_wait=0.005) as one:
        await asyncio.gather(one.submit(pairs(1, 2)), after(0.001, one.submit(pairs(3, 4))))
    assert [moment for moment, _ in engine.calls] == [0.001]


@in_virtual_time
async def test_time_behind_a_running_batch_counts_as_holding() -> None:
    engine = FakeEngine(seconds=1.0)
    async with batcher(engine, max_wait=0.1) as one:
        await asyncio.gather(one.submit(pairs(1)), after(0.5, one.submit(pairs(2))))
    assert engine.calls == [(0.1, [1]), (1.1, [2])]


# --- order --------------------------------------------------------------------------------


@in_virtual_time
async def test_a_small_job_waits_for_one_slice_of_a_large_one_and_not_for_all() -> None:
    engine = FakeEngine(per_token=0.01)
    async with batcher(engine) as one:
        await learn_pace(one)
        large = asyncio.create_task(one.submit(pairs(*range(100))))
        await asyncio.sleep(1.0)
        started = now()
        await one.submit(pairs(200, 201))
        waited = now() - started
        await large
    slice_seconds = 0.4
    assert waited <= 2 * slice_seconds


@in_virtual_time
async def test_under_a_stream_of_small_jobs_a_large_one_still_ends() -> None:
    engine = FakeEngine(per_token=0.01)
    async with batcher(engine, queue=10_000) as one:
        await learn_pace(one)
        large = asyncio.create_task(one.submit(pairs(*range(20))))
        small: list[asyncio.Task[Any]] = []
        for _ in range(200):  # twice what the engine can do
            small.append(asyncio.create_task(one.submit(pairs(300, 301))))
            await asyncio.sleep(0.1)
        done_at_end_of_stream = large.done()
        await asyncio.gather(large, *small)
    assert done_at_end_of_stream


@in_virtual_time
async def test_a_lower_priority_goes_behind_its_equals() -> None:
    engine = FakeEngine(seconds=1.0)
    async with batcher(engine, batch=10) as one:
        running = asyncio.create_task(one.submit(pairs(1)))
        await asyncio.sleep(0.5)
        await asyncio.gather(
            one.submit(pairs(2), priority=5), after(0.01, one.submit(pairs(3))), running
        )
    assert engine.batches == [[1], [3], [2]]


@in_virtual_time
async def test_a_deadline_brings_a_job_forward() -> None:
    engine = FakeEngine(per_token=0.01)
    async with batcher(engine, batch=10) as one:
        await learn_pace(one)
        running = asyncio.create_task(one.submit(pairs(2)))
        await asyncio.sleep(0.01)
        patient = one.submit(pairs(3))
        pressed = after(0.001, one.submit(pairs(4), deadline=now() + 0.3))
        await asyncio.gather(running, patient, pressed)
    assert engine.batches == [[1], [2], [4], [3]]


# --- refusal ------------------------------------------------------------------------------


@in_virtual_time
async def test_a_full_queue_refuses_at_once_and_says_when_to_come_back() -> None:
    engine = FakeEngine(per_token=0.01)
    async with batcher(engine, queue=50) as one:
        await learn_pace(one)
        running = asyncio.create_task(one.submit(pairs(1, 2, 3, 4)))
        await asyncio.sleep(0.01)
        queued = asyncio.create_task(one.submit(pairs(5, 6, 7)))
        await asyncio.sleep(0.01)
        started = now()
        with pytest.raises(QueueFull, match="30 of 50 tokens are waiting; 40 more") as refusal:
            await one.submit(pairs(8, 9, 10, 11))
        assert now() == started
        assert refusal.value.retry_after == pytest.approx(0.8)  # 40 tokens run, a batch is 40
        assert one.waiting_tokens == 30
        await asyncio.gather(running, queued)


@in_virtual_time
async def test_whoever_comes_back_when_told_to_finds_room() -> None:
    engine = FakeEngine(per_token=0.01)
    async with batcher(engine, queue=80) as one:
        await learn_pace(one)
        others = []
        for _ in range(3):  # one runs, two wait
            others.append(asyncio.create_task(one.submit(pairs(*range(4)))))
            await asyncio.sleep(0.001)
        with pytest.raises(QueueFull) as refusal:
            await one.submit(pairs(9))
        await asyncio.sleep(refusal.value.retry_after)
        assert (await one.submit(pairs(9))).logits == [9.0]
        await asyncio.gather(*others)


@in_virtual_time
async def test_what_could_never_be_admitted_is_the_callers_mistake() -> None:
    async with batcher(FakeEngine(), queue=30) as one:
        with pytest.raises(InvalidRequest, match="40 tokens, more than the 30") as refusal:
            await one.submit(pairs(1, 2, 3, 4))
    assert (refusal.value.field, refusal.value.limit) == ("documents", 30)


@in_virtual_time
async def test_room_is_held_for_jobs_that_are_still_being_tokenized() -> None:
    async with batcher(FakeEngine(), queue=50) as one:
        with one.expecting(40):
            with pytest.raises(QueueFull), one.expecting(20):
                pass
            with pytest.raises(QueueFull):
                await one.submit(pairs(1, 2))
        assert (await one.submit(pairs(1, 2))).logits == [1.0, 2.0]


@in_virtual_time
async def test_a_job_that_would_miss_its_deadline_in_the_queue_is_refused_as_overload() -> None:
    engine = FakeEngine(per_token=0.01)
    async with batcher(engine) as one:
        await learn_pace(one)
        large = asyncio.create_task(one.submit(pairs(*range(50)), deadline=now() + 6))
        await asyncio.sleep(0.01)
        with pytest.raises(QueueFull, match=r"too long for the 0\.2 s left") as refusal:
            await one.submit(pairs(1), deadline=now() + 0.2)
        assert refusal.value.retry_after > 0
        await large


@in_virtual_time
async def test_a_job_that_takes_longer_than_its_deadline_by_itself_is_told_so_at_once() -> None:
    async with batcher(FakeEngine(per_token=0.01)) as one:
        await learn_pace(one)
        started = now()
        with pytest.raises(DeadlineExceeded, match=r"about 1\.0 s, and 0\.5 s are left"):
            await one.submit(pairs(*range(10)), deadline=now() + 0.5)
        assert now() == started


# --- withdrawal ---------------------------------------------------------------------------


@in_virtual_time
async def test_a_cancelled_job_is_withdrawn_and_its_room_is_freed() -> None:
    engine, events = FakeEngine(seconds=1.0), list[BatchDone | Withdrawn]()
    async with batcher(engine, events) as one:
        running = asyncio.create_task(one.submit(pairs(1)))
        gone = asyncio.create_task(after(0.1, one.submit(pairs(2, 3))))
        await asyncio.sleep(0.5)
        gone.cancel()
        await asyncio.sleep(0)
        assert one.waiting_tokens == 0
        await running
    assert engine.batches == [[1]]
    assert Withdrawn(2) in events


@in_virtual_time
async def test_cancelling_one_caller_mid_batch_leaves_neighbours_and_successors_alone() -> None:
    async with batcher(FakeEngine(seconds=1.0)) as one:
        gone = asyncio.create_task(one.submit(pairs(1)))
        neighbour = asyncio.create_task(one.submit(pairs(2)))
        await asyncio.sleep(0.5)
        gone.cancel()
        assert (await neighbour).logits == [2.0]
        assert (await one.submit(pairs(3))).logits == [3.0]


@in_virtual_time
async def test_only_the_slices_not_yet_run_are_withdrawn() -> None:
    engine, events = FakeEngine(seconds=1.0), list[BatchDone | Withdrawn]()
    async with batcher(engine, events, batch=20) as one:
        gone = asyncio.create_task(one.submit(pairs(1, 2, 3, 4, 5)))
        await asyncio.sleep(0.5)
        gone.cancel()
        await asyncio.sleep(1.0)
    assert len(engine.calls) == 1
    assert Withdrawn(3) in events


# --- faults -------------------------------------------------------------------------------


@in_virtual_time
async def test_a_poisonous_pair_fails_alone_among_its_own() -> None:
    engine = FakeEngine()
    engine.poison = {3}
    async with batcher(engine) as one:
        scored, neighbour = await asyncio.gather(one.submit(pairs(2, 3)), one.submit(pairs(4)))
    assert scored.logits == [2.0, None]
    assert neighbour.logits == [4.0]


@in_virtual_time
async def test_a_job_without_a_single_score_ends_too_and_the_next_one_succeeds() -> None:
    engine = FakeEngine()
    engine.error = RuntimeError("kernel fault")
    async with batcher(engine) as one:
        assert (await one.submit(pairs(1, 2))).logits == [None, None]
        engine.error = None
        assert (await one.submit(pairs(3))).logits == [3.0]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param([1.0], id="too few scores"),
        pytest.param([1.0, 2.0, 3.0], id="too many scores"),
        pytest.param([1.0, float("nan")], id="not a number"),
        pytest.param([1.0, float("inf")], id="infinite"),
    ],
)
def test_a_batch_without_one_finite_score_a_pair_is_a_failure_never_a_shift(
    answer: list[float],
) -> None:
    async def broken(given: Sequence[Pair]) -> Sequence[float]:
        return answer if len(given) == 2 else [float(one.ids[0]) for one in given]

    @in_virtual_time
    async def run() -> None:
        async with Batcher(broken, Limits(40, 1000)) as one:
            assert (await one.submit(pairs(8, 9))).logits == [8.0, 9.0]

    run()


@in_virtual_time
async def test_out_of_memory_halves_the_batch_and_lowers_the_budget_for_good() -> None:
    engine = FakeEngine()
    engine.most_tokens = 600
    async with batcher(engine, batch=1000, queue=10_000) as one:
        scored = await one.submit(pairs(*range(10), tokens=100))
        assert scored.logits == [float(mark) for mark in range(10)]
        assert one.budget == 500
        await one.submit(pairs(*range(10), tokens=100))
    assert [len(marks) for marks in engine.batches] == [10, 5, 5, 5, 5]


@in_virtual_time
async def test_running_out_of_memory_once_lowers_the_budget_to_what_fits_and_no_further() -> None:
    engine = FakeEngine()
    engine.most_tokens = 4096
    async with batcher(engine, batch=32_768, queue=100_000) as one:
        scored = await one.submit(pairs(*range(128), tokens=256))
        assert None not in scored.logits
        assert one.budget == 4096


@in_virtual_time
async def test_a_budget_that_was_set_small_is_not_raised_when_memory_runs_out() -> None:
    engine = FakeEngine()
    engine.most_tokens = 50
    async with batcher(engine, batch=100) as one:
        await one.submit(pairs(*range(10)))
        assert one.budget == 100


@in_virtual_time
async def test_if_the_loop_dies_callers_are_told_and_it_says_why() -> None:
    def broken(event: object) -> None:
        raise ZeroDivisionError

    async with Batcher(FakeEngine(seconds=1.0).score, Limits(10, 1000), broken) as one:
        first = asyncio.create_task(one.submit(pairs(1)))
        await asyncio.sleep(0.5)
        waiting = asyncio.create_task(one.submit(pairs(2)))
        await first
        with pytest.raises(Draining, match="the batcher died: ZeroDivisionError"):
            await waiting
        assert one.problem is not None
        with pytest.raises(Draining):
            await one.submit(pairs(3))


# --- the end ------------------------------------------------------------------------------


@in_virtual_time
async def test_closing_lets_the_running_batch_end_and_refuses_what_waits() -> None:
    async with batcher(FakeEngine(seconds=1.0), batch=10) as one:
        running = asyncio.create_task(one.submit(pairs(1)))
        await asyncio.sleep(0.5)
        waiting = asyncio.create_task(one.submit(pairs(2)))
        await asyncio.sleep(0)
    assert (await running).logits == [1.0]
    with pytest.raises(Draining):
        await waiting
    with pytest.raises(Draining):
        await one.submit(pairs(3))


# --- what is told -------------------------------------------------------------------------


@in_virtual_time
async def test_waiting_and_computing_are_told_apart() -> None:
    async with batcher(FakeEngine(seconds=0.25)) as one:
        first = asyncio.create_task(one.submit(pairs(1)))
        second = await after(0.1, one.submit(pairs(2)))
        await first
    assert (round(second.queue, 6), round(second.compute, 6)) == (0.15, 0.25)


@in_virtual_time
async def test_a_batch_reports_its_size_and_its_padding() -> None:
    events: list[BatchDone | Withdrawn] = []
    async with batcher(FakeEngine(seconds=0.5), events, batch=100) as one:
        await one.submit([pair(30, 1), pair(10, 2)])
    assert events == [BatchDone(pairs=2, tokens=40, padding=20, seconds=0.5, failed=0, budget=100)]


@in_virtual_time
async def test_the_pace_is_learnt_from_what_batches_took() -> None:
    async with batcher(FakeEngine(per_token=0.01)) as one:
        assert one.pace.tokens_per_second == 0
        await one.submit(pairs(1, 2))
        assert one.pace.tokens_per_second == pytest.approx(100)


@in_virtual_time
async def test_what_a_deadline_overtakes_is_withdrawn_and_counted() -> None:
    engine, events = FakeEngine(seconds=1.0), list[BatchDone | Withdrawn]()
    async with batcher(engine, events, batch=10) as one:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await one.submit(pairs(1, 2, 3))
        await asyncio.sleep(1)
    assert len(engine.calls) == 1
    assert Withdrawn(2) in events
