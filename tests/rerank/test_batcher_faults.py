"""Pairs, engines and loops that fail."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from app.engines import Pair
from app.errors import DeadlineExceeded, Draining, EngineFailed
from app.observing import harmless
from app.rerank.admission import STALE_SECONDS
from app.rerank.batcher import Batcher, Limits
from tests.fakes import FakeEngine
from tests.rerank.bench import open_batcher, pairs
from tests.virtual_time import in_virtual_time, now

pytestmark = pytest.mark.anyio


@in_virtual_time
async def test_a_poisonous_pair_fails_alone_among_its_own() -> None:
    engine = FakeEngine()
    engine.poison = {3}
    async with open_batcher(engine) as batcher:
        scored, neighbour = await asyncio.gather(
            batcher.submit(pairs(2, 3)), batcher.submit(pairs(4))
        )
    assert scored.logits == [2.0, None]
    assert neighbour.logits == [4.0]


@in_virtual_time
async def test_a_job_without_a_single_score_ends_too_and_the_next_one_succeeds() -> None:
    engine = FakeEngine()
    engine.error = RuntimeError("kernel fault")
    async with open_batcher(engine) as batcher:
        assert (await batcher.submit(pairs(1, 2))).logits == [None, None]
        engine.error = None
        assert (await batcher.submit(pairs(3))).logits == [3.0]


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
    async def broken(pairs: Sequence[Pair]) -> Sequence[float]:
        return answer if len(pairs) == 2 else [float(pair.ids[0]) for pair in pairs]

    @in_virtual_time
    async def run() -> None:
        async with Batcher(broken, Limits(40, 1000)) as batcher:
            assert (await batcher.submit(pairs(8, 9))).logits == [8.0, 9.0]

    run()


@in_virtual_time
async def test_out_of_memory_halves_the_batch_and_lowers_the_budget_for_good() -> None:
    engine = FakeEngine()
    engine.most_tokens = 600
    async with open_batcher(engine, batch=1000, queue=10_000) as batcher:
        scored = await batcher.submit(pairs(*range(10), tokens=100))
        assert scored.logits == [float(mark) for mark in range(10)]
        assert batcher.budget == 500
        await batcher.submit(pairs(*range(10), tokens=100))
    assert [len(marks) for marks in engine.batches] == [10, 5, 5, 5, 5]


@in_virtual_time
async def test_running_out_of_memory_once_lowers_the_budget_to_what_fits_and_no_further() -> None:
    engine = FakeEngine()
    engine.most_tokens = 4096
    async with open_batcher(engine, batch=32_768, queue=100_000) as batcher:
        scored = await batcher.submit(pairs(*range(128), tokens=256))
        assert None not in scored.logits
        assert batcher.budget == 4096


@in_virtual_time
async def test_a_budget_that_was_set_small_is_not_raised_when_memory_runs_out() -> None:
    engine = FakeEngine()
    engine.most_tokens = 50
    async with open_batcher(engine, batch=100) as batcher:
        await batcher.submit(pairs(*range(10)))
        assert batcher.budget == 100


def broken(pairs: Sequence[Pair]) -> int:
    raise ZeroDivisionError


@in_virtual_time
async def test_if_the_loop_dies_callers_are_told_and_it_says_why() -> None:
    score = FakeEngine(seconds=1.0).score
    async with Batcher(score, Limits(10, 1000), cost=broken) as batcher:
        first = asyncio.create_task(batcher.submit(pairs(1)))
        await asyncio.sleep(0.5)
        waiting = asyncio.create_task(batcher.submit(pairs(2)))
        await first
        with pytest.raises(EngineFailed, match="the batcher crashed: ZeroDivisionError"):
            await waiting
        assert batcher.problem is not None
        with pytest.raises(EngineFailed):
            await batcher.submit(pairs(3))


@in_virtual_time
async def test_if_the_loop_dies_while_scores_are_delivered_all_of_them_arrive() -> None:
    def broken_for_one_pair(pairs: Sequence[Pair]) -> int:
        return broken(pairs) if len(pairs) == 1 else 0

    many, limits = 100, Limits(1000, 10_000, at_once=2)
    score = FakeEngine(seconds=1.0).score
    async with Batcher(score, limits, cost=broken_for_one_pair) as batcher:
        calls = [asyncio.create_task(batcher.submit(pairs(mark))) for mark in range(many + 1)]
        jobs = await asyncio.gather(*calls)
        assert [job.logits for job in jobs] == [[float(mark)] for mark in range(many + 1)]
        assert batcher.problem == "the batcher crashed: ZeroDivisionError"


@in_virtual_time
async def test_an_observer_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def observe(event: object) -> None:
        raise ZeroDivisionError

    score = FakeEngine(seconds=1.0).score
    async with Batcher(score, Limits(10, 1000), harmless(observe)) as batcher:
        gone = asyncio.create_task(batcher.submit(pairs(1, 2)))
        await asyncio.sleep(0.5)
        gone.cancel()
        assert (await batcher.submit(pairs(3))).logits == [3.0]
        with pytest.raises(asyncio.CancelledError):
            await gone
    assert batcher.waiting_tokens == 0
    assert caplog.records[-1].message == "observer_failed"


@in_virtual_time
async def test_a_pair_that_fails_alone_is_tried_once_more() -> None:
    engine, failures = FakeEngine(), [RuntimeError("for a moment"), None]

    async def score(pairs: Sequence[Pair]) -> Sequence[float]:
        if failures and (error := failures.pop(0)) is not None:
            raise error
        return await engine.score(pairs)

    async with Batcher(score, Limits(40, 1000)) as batcher:
        assert (await batcher.submit(pairs(7))).logits == [7.0]
        failures[:] = [RuntimeError("for a moment"), RuntimeError("for good")]
        assert (await batcher.submit(pairs(8))).logits == [None]
        assert failures == []


@in_virtual_time
async def test_a_poisonous_pair_among_others_is_not_tried_more_often_than_they_are() -> None:
    engine = FakeEngine()
    engine.poison = {3}
    async with open_batcher(engine) as batcher:
        assert (await batcher.submit(pairs(2, 3))).logits == [2.0, None]
    assert sorted(engine.batches) == [[2], [3], [3, 2]]


@in_virtual_time
async def test_an_engine_that_gives_up_by_itself_fails_its_batch_and_no_more() -> None:
    """A future of the engine that is cancelled would else end the batch without any word."""

    async def score(pairs: Sequence[Pair]) -> Sequence[float]:
        if any(pair.ids[0] == 3 for pair in pairs):
            raise asyncio.CancelledError
        return [float(pair.ids[0]) for pair in pairs]

    async with Batcher(score, Limits(40, 1000)) as batcher:
        assert (await batcher.submit(pairs(2, 3))).logits == [2.0, None]
        assert (await batcher.submit(pairs(4))).logits == [4.0]


@in_virtual_time
async def test_a_job_without_pairs_ends_at_once_and_holds_up_nobody() -> None:
    async with open_batcher(FakeEngine()) as batcher:
        async with asyncio.timeout(1):
            assert (await batcher.submit([])).logits == []
        assert (await batcher.submit(pairs(1))).logits == [1.0]


@in_virtual_time
async def test_a_service_that_was_slow_for_a_while_takes_work_again() -> None:
    engine = FakeEngine(seconds=20.0)
    async with open_batcher(engine, batch=400) as batcher:
        await batcher.submit(pairs(1))
        engine.seconds, engine.per_token = 0.0, 0.001
        thirty_pairs = pairs(*range(30))
        with pytest.raises(DeadlineExceeded):
            await batcher.submit(thirty_pairs, deadline=now() + 100)
        await asyncio.sleep(STALE_SECONDS)
        assert None not in (await batcher.submit(thirty_pairs, deadline=now() + 100)).logits
        assert None not in (await batcher.submit(thirty_pairs, deadline=now() + 1)).logits


@in_virtual_time
async def test_a_batch_that_failed_whole_says_nothing_of_the_pace() -> None:
    engine = FakeEngine(per_token=0.01)
    async with open_batcher(engine) as batcher:
        await batcher.submit(pairs(1, 2))
        pace = batcher.pace.tokens_per_second
        engine.seconds, engine.error = 100.0, RuntimeError("kernel fault")
        await batcher.submit(pairs(3, 4))
        assert batcher.pace.tokens_per_second == pace


@in_virtual_time
async def test_a_batcher_that_is_cancelled_tries_its_batch_no_further() -> None:
    engine = FakeEngine(seconds=1.0)
    async with open_batcher(engine) as batcher:
        callers = [asyncio.create_task(batcher.submit(pairs(mark))) for mark in (1, 2)]
        await asyncio.sleep(0.5)
        (running,) = [task for task in asyncio.all_tasks() if task.get_name() == "batcher"]
        running.cancel()
        results = await asyncio.gather(*callers, return_exceptions=True)
        batcher._task = None  # it has ended
    assert all(isinstance(result, Draining) for result in results)
    assert engine.batches == [[1, 2]]
