"""While most callers leave before they are answered, the newest are served first."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

import pytest

from app.engines import Pair
from app.rerank import abandonment
from app.rerank.abandonment import MIN_CALLS
from app.rerank.batcher import SHORT_BATCH_SECONDS, Batcher, Limits
from app.rerank.submission import Submission
from tests.fakes import FakeEngine, pair
from tests.rerank.bench import open_batcher, pairs
from tests.virtual_time import in_virtual_time, now

pytestmark = pytest.mark.anyio


async def leave(
    batcher: Batcher, callers: int, seconds: float, deadline: float | None = None
) -> None:
    """So many callers come at once, and leave after `seconds`."""

    async def call() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await batcher.submit(pairs(0), deadline=deadline)

    await asyncio.gather(*(call() for _ in range(callers)))


@in_virtual_time
async def test_the_newest_are_served_first_while_most_callers_leave(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = FakeEngine(seconds=10.0)
    async with open_batcher(engine, batch=10) as batcher:
        await leave(batcher, int(MIN_CALLS), 1.0)
        assert batcher.newest_first
        calls: list[asyncio.Task[Submission]] = []
        for mark in (1, 2, 3):
            calls.append(asyncio.create_task(batcher.submit(pairs(mark))))
            await asyncio.sleep(0.1)
        await asyncio.gather(*calls)
        assert caplog.records[0].message == "newest_first"
    assert engine.batches == [[0], [3], [2], [1]]


@in_virtual_time
async def test_the_oldest_are_served_first_again_when_callers_wait(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    async with open_batcher(FakeEngine(seconds=10.0), batch=10) as batcher:
        await leave(batcher, int(MIN_CALLS), 1.0)
        await batcher.submit(pairs(1))
        assert batcher.newest_first
        await asyncio.sleep(100)
        await batcher.submit(pairs(1))
        assert not batcher.newest_first
    assert [record.message for record in caplog.records] == ["newest_first", "oldest_first"]


@in_virtual_time
async def test_calls_that_their_own_limit_ends_are_no_sign_of_callers_who_leave() -> None:
    async with open_batcher(FakeEngine(seconds=10.0), batch=10) as batcher:
        await leave(batcher, 100, 1.0, deadline=now() + 1.0)
        assert not batcher.newest_first
        await leave(batcher, 100, 1.0, deadline=now() + 9.0)
        assert batcher.newest_first


@in_virtual_time
async def test_batches_are_short_while_most_callers_leave() -> None:
    engine, pace = FakeEngine(per_token=0.0001), 10_000
    async with open_batcher(engine, batch=pace, queue=100 * pace) as batcher:
        await batcher.submit(pairs(0, tokens=1000))
        calls = [batcher.submit(pairs(mark, tokens=100)) for mark in range(90)]
        await asyncio.gather(*calls)
        assert len(engine.batches[-1]) == 90
        await leave(batcher, 300, 0.001)
        engine.calls.clear()
        calls = [batcher.submit(pairs(mark, tokens=100)) for mark in range(90)]
        await asyncio.gather(*calls)
    short = round(SHORT_BATCH_SECONDS * pace / 100)
    assert short <= max(map(len, engine.batches)) <= short + 1  # the pace is an estimate


@in_virtual_time
async def test_a_short_batch_holds_all_of_its_first_job() -> None:
    engine = FakeEngine(per_token=0.0001)
    async with open_batcher(engine, batch=10_000, queue=100_000) as batcher:
        await batcher.submit(pairs(0, tokens=1000))
        await leave(batcher, 300, 0.001)
        engine.calls.clear()
        await asyncio.gather(
            batcher.submit(pairs(*range(90), tokens=100)), batcher.submit(pairs(90))
        )
    assert max(map(len, engine.batches)) == 90


class Stalling(FakeEngine):
    """Computes one batch after the other, and nothing during the stall."""

    def __init__(self, per_token: float, begins: float, ends: float) -> None:
        super().__init__(per_token=per_token)
        self._begins, self._ends = begins, ends
        self._computing = asyncio.Lock()

    async def score(self, pairs: Sequence[Pair]) -> Sequence[float]:
        async with self._computing:
            scores = await super().score(pairs)
            if self._begins <= now() < self._ends:
                await asyncio.sleep(self._ends - now())
            return scores


SECONDS_PER_CALL = 0.2
PATIENCE, ATTEMPTS = 2.0, 4
STALL = (10.0, 20.0)


async def answered_after_a_stall(*, seconds: float) -> tuple[float, float]:
    """Share of calls answered before and from 10 s after a stall, at 0.8 of the peak.

    Callers leave after 2 s and try again at once, as often as three times.
    """
    engine = Stalling(SECONDS_PER_CALL / 100, *STALL)
    arrivals, came, answered = random.Random(1), Counter[str](), Counter[str]()

    async def call(batcher: Batcher) -> None:
        period = "before" if now() < STALL[0] - PATIENCE else "stalled"
        period = "after" if now() >= STALL[1] + 10 else period
        came[period] += 1
        for _ in range(ATTEMPTS):
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await batcher.submit([pair(10) for _ in range(10)], deadline=now() + 120)
                    answered[period] += 1
                    return

    limits = Limits(8192, 20_000, at_once=2)
    async with Batcher(engine.score, limits) as batcher, asyncio.TaskGroup() as calls:
        while now() < seconds:
            await asyncio.sleep(arrivals.expovariate(0.8 / SECONDS_PER_CALL))
            calls.create_task(call(batcher))
    return answered["before"] / came["before"], answered["after"] / came["after"]


@in_virtual_time
async def test_after_a_stall_callers_who_retry_at_once_are_answered_again() -> None:
    before, after = await answered_after_a_stall(seconds=60)
    assert before > 0.95
    assert after > 0.9


@in_virtual_time
async def test_the_oldest_first_would_answer_nobody_after_that_stall(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the test above could not fail."""
    monkeypatch.setattr(abandonment, "HIGH_SHARE", 2.0)
    before, after = await answered_after_a_stall(seconds=60)
    assert before > 0.95
    assert after < 0.1
