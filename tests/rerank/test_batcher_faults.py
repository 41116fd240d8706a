"""Pairs, engines and loops that fail."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from app.errors import EngineFailed
from app.rerank.batcher import Batcher, Limits
from app.rerank.engine import Pair
from tests.fakes import FakeEngine
from tests.rerank.bench import batcher, pairs
from tests.virtual_time import in_virtual_time

pytestmark = pytest.mark.anyio


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
        with pytest.raises(EngineFailed, match="the batcher died: ZeroDivisionError"):
            await waiting
        assert one.problem is not None
        with pytest.raises(EngineFailed):
            await one.submit(pairs(3))
