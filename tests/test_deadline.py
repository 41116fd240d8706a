from __future__ import annotations

import asyncio

import pytest

from app.deadline import Deadline
from app.errors import DeadlineExceeded
from tests.virtual_time import in_virtual_time, now


@in_virtual_time
async def test_what_runs_longer_is_cancelled_and_the_error_names_the_limit() -> None:
    started = now()
    with pytest.raises(DeadlineExceeded, match="not answered within 1500 ms"):
        async with Deadline.after(1.5).enforced():
            await asyncio.sleep(10)
    assert now() - started == pytest.approx(1.5)


@in_virtual_time
async def test_what_ends_in_time_is_left_alone() -> None:
    deadline = Deadline.after(1.5)
    async with deadline.enforced():
        await asyncio.sleep(1.4)
    assert deadline.remaining == pytest.approx(0.1)


@in_virtual_time
async def test_it_counts_from_when_it_was_set_and_not_from_when_it_is_enforced() -> None:
    deadline = Deadline.after(1.0)
    await asyncio.sleep(2.0)
    assert deadline.remaining == pytest.approx(-1.0)
    with pytest.raises(DeadlineExceeded):
        async with deadline.enforced():
            await asyncio.sleep(0.1)


@in_virtual_time
async def test_another_cancellation_is_not_taken_for_it() -> None:
    async def work() -> None:
        async with Deadline.after(5.0).enforced():
            await asyncio.sleep(10)

    task = asyncio.create_task(work())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
