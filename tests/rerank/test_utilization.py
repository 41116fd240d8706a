"""The share of the last minute in which the engine computed."""

from __future__ import annotations

import asyncio

import pytest

from app.rerank.calls import Calls
from app.rerank.pace import Pace
from app.rerank.utilization import WINDOW_SECONDS, Utilization
from tests.virtual_time import in_virtual_time


def worked(periods: list[tuple[float, float]]) -> Utilization:
    utilization = Utilization()
    for start, end in periods:
        utilization.start(start)
        utilization.end(end)
    return utilization


def test_an_engine_that_never_ran_is_idle() -> None:
    assert Utilization().at(5.0) == 0.0


def test_before_a_minute_has_passed_the_time_since_the_first_call_counts() -> None:
    assert worked([(100.0, 103.0)]).at(110.0) == pytest.approx(0.3)


def test_a_call_that_still_runs_counts() -> None:
    utilization = Utilization()
    utilization.start(0.0)
    assert utilization.at(0.0) == 1.0
    assert utilization.at(30.0) == 1.0
    assert utilization.at(500.0) == 1.0


def test_calls_at_the_same_time_count_once() -> None:
    utilization = Utilization()
    utilization.start(0.0)
    utilization.start(1.0)
    utilization.end(2.0)
    utilization.end(4.0)
    assert utilization.at(10.0) == pytest.approx(0.4)


def test_work_of_more_than_a_minute_ago_is_forgotten() -> None:
    utilization = worked([(0.0, 30.0)])
    assert utilization.at(60.0) == pytest.approx(0.5)
    assert utilization.at(80.0) == pytest.approx(10 / 60)
    assert utilization.at(90.0) == pytest.approx(0.0)
    assert utilization.at(1000.0) == 0.0


def test_many_short_calls_give_their_share_and_take_little_memory() -> None:
    utilization = worked([(n / 100, n / 100 + 0.007) for n in range(20_000)])
    assert utilization.at(200.0) == pytest.approx(0.7, abs=0.02)
    assert len(utilization._marks) <= WINDOW_SECONDS + 2


@pytest.mark.parametrize("seconds", [0.4, 3.0, 45.0])
def test_a_change_of_the_load_is_seen_within_a_minute(seconds: float) -> None:
    """However long the calls take: an idle minute, then a load of one half."""
    periods = [(n * 2 * seconds, n * 2 * seconds + seconds) for n in range(400)]
    end = periods[-1][1] + seconds
    assert worked(periods).at(end) == pytest.approx(0.5, abs=0.26 if seconds > 10 else 0.05)


@in_virtual_time
async def test_the_calls_of_the_engine_are_what_counts() -> None:
    calls = Calls(Pace())
    with calls.under_way(100):
        await asyncio.sleep(3.0)
    await asyncio.sleep(1.0)
    assert calls.utilization == pytest.approx(0.75)
