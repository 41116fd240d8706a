from __future__ import annotations

import asyncio
import socket

import pytest

from app.event_loop import PERIOD_SECONDS, loop_watched, pause
from app.events import Event, LoopLagged, Observe
from tests.desk import Desk
from tests.virtual_time import VirtualTimeLoop, in_virtual_time


def hold(seconds: float) -> None:
    """As a step that computes for so long: the clock goes on, and nobody runs."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop._clock.now += seconds


def recorder(lags: list[float]) -> Observe:
    def observe(event: Event) -> None:
        assert isinstance(event, LoopLagged)
        lags.append(event.seconds)

    return observe


@in_virtual_time
async def test_a_loop_that_nobody_holds_is_never_late() -> None:
    seen: list[float] = []
    async with loop_watched(recorder(seen)):
        await asyncio.sleep(1)
    assert len(seen) == pytest.approx(1 / PERIOD_SECONDS, abs=1)
    assert max(seen) == pytest.approx(0)


@in_virtual_time
async def test_a_step_that_holds_the_loop_is_seen_with_its_length() -> None:
    seen: list[float] = []
    async with loop_watched(recorder(seen)):
        await asyncio.sleep(PERIOD_SECONDS / 2)
        hold(0.4)
        await asyncio.sleep(1)
    assert max(seen) == pytest.approx(0.4 - PERIOD_SECONDS / 2)
    assert sum(late > 0.01 for late in seen) == 1


@in_virtual_time
async def test_the_watch_ends_with_the_service() -> None:
    seen: list[float] = []
    async with loop_watched(recorder(seen)):
        await asyncio.sleep(0)
    await asyncio.sleep(1)
    assert seen == []


@pytest.mark.anyio
async def test_a_pause_lets_through_what_came_over_a_socket_meanwhile() -> None:
    """One turn of the loop would not: it is queued before the sockets are looked at."""
    loop, order = asyncio.get_running_loop(), list[str]()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        loop.add_reader(ours, order.append, "another request")
        theirs.send(b"x")
        await pause()
        loop.remove_reader(ours)
        order.append("the next step")
    assert order == ["another request", "the next step"]


@pytest.mark.anyio
async def test_the_service_counts_how_late_its_loop_is(desk: Desk) -> None:
    async with desk.open() as client:
        await asyncio.sleep(3 * PERIOD_SECONDS)
        lines = (await client.get("/metrics")).text.splitlines()
    (count,) = [line for line in lines if line.startswith("rerankd_loop_lag_seconds_count")]
    assert float(count.split()[1]) >= 1
