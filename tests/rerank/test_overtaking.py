"""What overtakes a job: the estimate, and what admission makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.errors import QueueFull
from app.rerank.batcher import Batcher
from app.rerank.overtaking import HALF_LIFE_SECONDS, Overtaking
from tests.fakes import FakeEngine
from tests.rerank.bench import learn_pace, open_batcher, pairs
from tests.virtual_time import in_virtual_time, now

pytestmark = pytest.mark.anyio


def settled(allowance: float, amount: int, period: float = 0.1, now: float = 200.0) -> Overtaking:
    """After jobs of this kind that arrived evenly for a long time."""
    overtaking = Overtaking()
    for number in range(round(now / period)):
        overtaking.observe(number * period, allowance, amount)
    return overtaking


def test_without_jobs_nothing_is_expected() -> None:
    assert Overtaking().expected(now=5.0, allowance=10.0, seconds=10.0) == 0


def test_work_goes_on_to_arrive_as_fast_as_before_until_the_job_is_done() -> None:
    overtaking = settled(allowance=0.5, amount=50)
    for seconds in (1.0, 4.0):
        expected = overtaking.expected(200.0, allowance=10.0, seconds=seconds)
        assert expected == pytest.approx(500 * seconds, rel=0.02)


def test_what_arrives_too_late_to_be_due_earlier_does_not_count() -> None:
    overtaking = settled(allowance=1.0, amount=50)
    assert overtaking.expected(200.0, allowance=3.0, seconds=60.0) == pytest.approx(1000, rel=0.02)


@pytest.mark.parametrize("allowance", [0.06, 0.5, 0.9, 1.0])
def test_jobs_of_the_same_or_a_longer_allowance_do_not_overtake(allowance: float) -> None:
    assert settled(allowance=1.0, amount=50).expected(200.0, allowance, seconds=60.0) == 0


def test_a_job_does_not_expect_itself() -> None:
    overtaking = Overtaking()
    for allowance in (0.05, 0.3, 1.7, 8.05):
        overtaking.observe(0.0, allowance, 1_000)
        assert overtaking.expected(0.0, allowance, 60.0) <= 3_000
    assert overtaking.expected(0.0, 0.05, 60.0) == 0


def test_kinds_of_jobs_add_up() -> None:
    first, second = settled(0.5, 50), settled(2.0, 20)
    both = Overtaking()
    for number in range(2000):
        both.observe(number * 0.1, 0.5, 50)
        both.observe(number * 0.1, 2.0, 20)
    apart = first.expected(200.0, 8.0, 4.0) + second.expected(200.0, 8.0, 4.0)
    assert both.expected(200.0, 8.0, 4.0) == pytest.approx(apart)


def test_work_that_ceased_to_arrive_is_forgotten_by_half_in_a_half_life() -> None:
    overtaking = settled(allowance=0.5, amount=50)
    before = overtaking.expected(200.0, 10.0, 5.0)
    after = overtaking.expected(200.0 + HALF_LIFE_SECONDS, 10.0, 5.0)
    assert after == pytest.approx(before / 2)


def test_a_job_that_is_due_at_once_or_was_due_before_is_no_error() -> None:
    overtaking = Overtaking()
    overtaking.observe(1.0, 0.0, 10)
    overtaking.observe(1.0, -0.5, 10)
    assert overtaking.expected(1.0, 10.0, 10.0) == 0


LARGE = pairs(*range(20))  # 2 s of the engine


async def keep_half_busy(batcher: Batcher) -> None:
    """By small jobs."""
    async with asyncio.TaskGroup() as jobs:
        while True:
            jobs.create_task(batcher.submit(pairs(1)))
            await asyncio.sleep(0.2)


@asynccontextmanager
async def half_busy(pause: float = 0.0) -> AsyncIterator[Batcher]:
    """A batcher that has been half busy for a minute, and goes on to be if there is no pause."""
    async with open_batcher(FakeEngine(per_token=0.01)) as batcher:
        await learn_pace(batcher)
        traffic = asyncio.create_task(keep_half_busy(batcher))
        await asyncio.sleep(60.0)
        if pause:
            traffic.cancel()
            await asyncio.sleep(pause)
        yield batcher
        traffic.cancel()


@in_virtual_time
async def test_a_job_that_later_ones_would_make_late_is_refused_at_once() -> None:
    async with half_busy() as batcher:
        started = now()
        with pytest.raises(QueueFull, match=r"3\.0 s are left") as refusal:
            await batcher.submit(LARGE, deadline=now() + 3.0)
        assert now() == started
        assert refusal.value.retry_after > 0


@in_virtual_time
async def test_a_job_that_is_admitted_beside_later_ones_is_done_in_time() -> None:
    async with half_busy() as batcher:
        deadline = now() + 5.0
        await batcher.submit(LARGE, deadline=deadline)
        assert now() <= deadline


@in_virtual_time
async def test_without_later_jobs_the_same_job_is_admitted() -> None:
    async with open_batcher(FakeEngine(per_token=0.01)) as batcher:
        await learn_pace(batcher)
        deadline = now() + 3.0
        await batcher.submit(LARGE, deadline=deadline)
        assert now() <= deadline


@in_virtual_time
async def test_small_jobs_are_admitted_beside_large_ones() -> None:
    async with half_busy() as batcher:
        large = asyncio.create_task(batcher.submit(LARGE, deadline=now() + 5.0))
        await asyncio.sleep(0.01)
        for _ in range(10):
            await batcher.submit(pairs(1), deadline=now() + 1.0)
        assert len((await large).logits) == len(LARGE)


@in_virtual_time
async def test_after_a_pause_there_is_room_for_large_jobs_again() -> None:
    async with half_busy(pause=5 * HALF_LIFE_SECONDS) as batcher:
        deadline = now() + 2.5
        await batcher.submit(LARGE, deadline=deadline)
        assert now() <= deadline
