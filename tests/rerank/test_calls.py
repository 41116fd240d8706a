"""Calls of the engine under way: the oldest decides, and whoever watches is told of each."""

from __future__ import annotations

import asyncio

import pytest

from app.rerank.calls import HANGING_FACTOR, MIN_LIMIT_SECONDS, Calls
from app.rerank.pace import Pace
from tests.virtual_time import in_virtual_time, now

pytestmark = pytest.mark.anyio


def calls(tokens_per_second: int = 100) -> Calls:
    pace = Pace()
    pace.observe(tokens_per_second, 1.0)
    return Calls(pace)


@in_virtual_time
async def test_without_a_call_nothing_is_overdue() -> None:
    made = calls()
    assert (made.age, made.overdue, made.next_overdue) == (0.0, False, None)


@in_virtual_time
async def test_of_two_calls_the_oldest_has_the_age_and_the_first_to_be_overdue_the_moment() -> None:
    made, long = calls(), 100 * int(MIN_LIMIT_SECONDS)
    with made.under_way(long):
        await asyncio.sleep(2.0)
        with made.under_way(1):
            await asyncio.sleep(1.0)
            assert made.age == 3.0
            assert made.next_overdue == 2.0 + MIN_LIMIT_SECONDS
        assert made.next_overdue == pytest.approx(HANGING_FACTOR * MIN_LIMIT_SECONDS)


@in_virtual_time
async def test_a_call_is_overdue_from_its_last_moment_on() -> None:
    made = calls()
    with made.under_way(1):
        await asyncio.sleep(MIN_LIMIT_SECONDS - 0.5)
        assert not made.overdue
        await asyncio.sleep(0.5)
        assert made.overdue
        assert now() == made.next_overdue


@in_virtual_time
async def test_the_start_and_the_end_of_a_call_are_announced() -> None:
    made = calls()
    with made.under_way(1):
        assert made.changed.is_set()
        made.changed.clear()
    assert made.changed.is_set()
