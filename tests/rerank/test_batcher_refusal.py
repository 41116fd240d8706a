"""What is refused, and what is withdrawn."""

from __future__ import annotations

import asyncio

import pytest

from app.errors import DeadlineExceeded, Draining, InvalidRequest, QueueFull
from app.events import Event, PairsWithdrawn
from app.rerank.admission import STALE_SECONDS
from app.rerank.batcher import Batcher
from app.rerank.submission import Submission
from tests.fakes import FakeEngine, after
from tests.rerank.bench import learn_pace, open_batcher, pairs
from tests.virtual_time import in_virtual_time, now

pytestmark = pytest.mark.anyio


def refuse_early(batcher: Batcher, at_least: int, deadline: float) -> None:
    """As before tokenizing, with a guess that never matters."""
    with batcher.expecting(0, at_least=at_least, deadline=deadline):
        pass


async def two_batches(batcher: Batcher) -> list[asyncio.Task[Submission]]:
    """Of 40 tokens each: one runs, one waits."""
    queued = []
    for _ in range(2):
        queued.append(asyncio.create_task(batcher.submit(pairs(*range(4)))))
        await asyncio.sleep(0.01)
    return queued


@in_virtual_time
async def test_a_full_queue_refuses_at_once_and_says_when_to_come_back() -> None:
    engine = FakeEngine(per_token=0.01)
    async with open_batcher(engine, queue=50) as batcher:
        await learn_pace(batcher)
        running = asyncio.create_task(batcher.submit(pairs(1, 2, 3, 4)))
        await asyncio.sleep(0.01)
        queued = asyncio.create_task(batcher.submit(pairs(5, 6, 7)))
        await asyncio.sleep(0.01)
        started = now()
        with pytest.raises(QueueFull, match="30 of 50 tokens are waiting; 40 more") as refusal:
            await batcher.submit(pairs(8, 9, 10, 11))
        assert now() == started
        assert refusal.value.retry_after == pytest.approx(0.8)  # 40 tokens run, a batch is 40
        assert batcher.waiting_tokens == 30
        await asyncio.gather(running, queued)


@in_virtual_time
async def test_whoever_comes_back_when_told_to_finds_room() -> None:
    engine = FakeEngine(per_token=0.01)
    async with open_batcher(engine, queue=80) as batcher:
        await learn_pace(batcher)
        others = []
        for _ in range(3):  # one runs, two wait
            others.append(asyncio.create_task(batcher.submit(pairs(*range(4)))))
            await asyncio.sleep(0.001)
        with pytest.raises(QueueFull) as refusal:
            await batcher.submit(pairs(9))
        await asyncio.sleep(refusal.value.retry_after)
        assert (await batcher.submit(pairs(9))).logits == [9.0]
        await asyncio.gather(*others)


@in_virtual_time
async def test_whoever_needs_much_room_finds_it_too_when_told_to_come_back() -> None:
    async with open_batcher(FakeEngine(per_token=0.01), queue=180) as batcher:
        await learn_pace(batcher)
        others = [asyncio.create_task(batcher.submit(pairs(1, 2, 3, 4)))]
        await asyncio.sleep(0)
        others += [asyncio.create_task(batcher.submit(pairs(5, tokens=30))) for _ in range(6)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull) as refusal:
            await batcher.submit(pairs(*range(10)))
        await asyncio.sleep(refusal.value.retry_after)
        assert len((await batcher.submit(pairs(*range(10)))).logits) == 10
        await asyncio.gather(*others)


@in_virtual_time
async def test_whoever_is_late_for_the_queue_is_in_time_when_told_to_come_back() -> None:
    async with open_batcher(FakeEngine(per_token=0.01), batch=30) as batcher:
        await learn_pace(batcher)
        others = [asyncio.create_task(batcher.submit(pairs(1, tokens=25))) for _ in range(6)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull) as refusal:
            await batcher.submit(pairs(2, tokens=25), deadline=now() + 1.1)
        await asyncio.sleep(refusal.value.retry_after)
        assert (await batcher.submit(pairs(2, tokens=25), deadline=now() + 1.1)).logits == [2.0]
        await asyncio.gather(*others)


@in_virtual_time
async def test_what_could_never_be_admitted_is_the_callers_mistake() -> None:
    async with open_batcher(FakeEngine(), queue=30) as batcher:
        with pytest.raises(
            InvalidRequest, match="40 tokens; the queue accepts at most 30"
        ) as refusal:
            await batcher.submit(pairs(1, 2, 3, 4))
    assert (refusal.value.field, refusal.value.limit) == ("documents", 30)


@in_virtual_time
async def test_room_is_held_for_jobs_that_are_still_being_tokenized() -> None:
    async with open_batcher(FakeEngine(), queue=50) as batcher:
        with batcher.expecting(40):
            with pytest.raises(QueueFull), batcher.expecting(20):
                pass
            with pytest.raises(QueueFull):
                await batcher.submit(pairs(1, 2))
        assert (await batcher.submit(pairs(1, 2))).logits == [1.0, 2.0]


@in_virtual_time
async def test_a_guess_above_what_may_wait_holds_all_the_room_and_gives_it_back() -> None:
    async with open_batcher(FakeEngine(), queue=50) as batcher:
        for _ in range(2):
            with batcher.expecting(5000), pytest.raises(QueueFull):
                await batcher.submit(pairs(1))
            assert (await batcher.submit(pairs(1, 2))).logits == [1.0, 2.0]


@in_virtual_time
async def test_room_held_by_what_is_still_tokenized_is_promised_after_that_only() -> None:
    async with open_batcher(FakeEngine(per_token=0.01), queue=50) as batcher:
        await learn_pace(batcher)
        with (
            batcher.expecting(40),
            pytest.raises(QueueFull) as held,
            batcher.expecting(20, delay=7.0),
        ):
            pass
        queued = await two_batches(batcher)
        with pytest.raises(QueueFull) as waits, batcher.expecting(20, delay=7.0):
            pass
        await asyncio.gather(*queued)
    assert held.value.retry_after == pytest.approx(7.4)
    assert waits.value.retry_after == pytest.approx(0.8)


@in_virtual_time
async def test_room_that_all_of_the_queue_makes_by_leaving_is_not_promised_later() -> None:
    async with open_batcher(FakeEngine(per_token=0.01), queue=50) as batcher:
        await learn_pace(batcher)
        queued = await two_batches(batcher)
        with pytest.raises(QueueFull) as refusal, batcher.expecting(50, delay=7.0):
            pass
        await asyncio.gather(*queued)
    assert refusal.value.retry_after == pytest.approx(0.8)


@in_virtual_time
async def test_without_a_delay_of_the_tokenizer_the_hint_is_that_of_the_engine_alone() -> None:
    async with open_batcher(FakeEngine(per_token=0.01), queue=50) as batcher:
        await learn_pace(batcher)
        with batcher.expecting(40):
            with pytest.raises(QueueFull) as guessed, batcher.expecting(20):
                pass
            with pytest.raises(QueueFull) as submitted:
                await batcher.submit(pairs(1, 2))
    assert [guessed.value.retry_after, submitted.value.retry_after] == pytest.approx([0.4, 0.4])


@in_virtual_time
async def test_an_engine_of_several_streams_takes_as_many_batches_before_there_is_room() -> None:
    async with open_batcher(FakeEngine(per_token=0.01), queue=50, at_once=2) as batcher:
        await learn_pace(batcher)
        with batcher.expecting(50), pytest.raises(QueueFull) as refusal:
            await batcher.submit(pairs(1))
    assert refusal.value.retry_after == pytest.approx(0.8)


@in_virtual_time
async def test_a_job_that_may_never_wait_is_refused_before_it_is_tokenized() -> None:
    async with open_batcher(FakeEngine(), queue=30) as batcher:
        refuse_early(batcher, 30, now() + 10)
        with pytest.raises(InvalidRequest, match="31 tokens; the queue accepts at most 30"):
            refuse_early(batcher, 31, now() + 10)


@in_virtual_time
async def test_a_job_behind_a_queue_too_long_for_it_is_refused_before_it_is_tokenized() -> None:
    async with open_batcher(FakeEngine(per_token=0.01), queue=1000) as batcher:
        await learn_pace(batcher)
        await asyncio.sleep(20)  # so that a moment is not taken for a span of time
        large = asyncio.create_task(batcher.submit(pairs(*range(4))))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        refuse_early(batcher, 1, now() + 0.405)  # its own tokens are only guessed, and do not count
        with pytest.raises(QueueFull, match=r"about 0\.4 s; 0\.3 s are left"):
            refuse_early(batcher, 1, now() + 0.3)
        await large


@in_virtual_time
async def test_a_job_that_falls_due_first_does_not_wait_for_the_queue_before_it_is_tokenized() -> (
    None
):
    async with open_batcher(FakeEngine(per_token=0.01), queue=1000) as batcher:
        await learn_pace(batcher)
        large = asyncio.create_task(batcher.submit(pairs(*range(50)), priority=9))
        await asyncio.sleep(0)
        refuse_early(batcher, 1, now() + 1.0)
        await large


@in_virtual_time
async def test_before_it_is_started_it_refuses() -> None:
    with pytest.raises(Draining):
        await open_batcher(FakeEngine()).submit(pairs(1))


@in_virtual_time
async def test_a_job_that_would_miss_its_deadline_in_the_queue_is_refused_as_overload() -> None:
    engine = FakeEngine(per_token=0.01)
    async with open_batcher(engine) as batcher:
        await learn_pace(batcher)
        large = asyncio.create_task(batcher.submit(pairs(*range(50)), deadline=now() + 6))
        await asyncio.sleep(0.01)
        with pytest.raises(QueueFull, match=r"0\.2 s are left of the limit") as refusal:
            await batcher.submit(pairs(1), deadline=now() + 0.2)
        assert refusal.value.retry_after > 0
        await large


@in_virtual_time
async def test_a_job_that_takes_longer_than_its_deadline_by_itself_is_told_so_at_once() -> None:
    async with open_batcher(FakeEngine(per_token=0.01)) as batcher:
        await learn_pace(batcher)
        started = now()
        with pytest.raises(DeadlineExceeded, match=r"about 1\.0 s; 0\.5 s are left"):
            await batcher.submit(pairs(*range(10)), deadline=now() + 0.5)
        assert now() == started


@in_virtual_time
async def test_an_idle_engine_is_tried_again_once_its_pace_is_old() -> None:
    """Otherwise nothing would ever correct an estimate that refuses everybody."""
    engine = FakeEngine(seconds=60.0)
    async with open_batcher(engine) as batcher:
        await learn_pace(batcher)
        engine.seconds = 0.0
        with pytest.raises(DeadlineExceeded):
            await batcher.submit(pairs(1, 2, 3, 4), deadline=now() + 30)
        await asyncio.sleep(STALE_SECONDS)
        tried = asyncio.create_task(batcher.submit(pairs(1, 2, 3, 4), deadline=now() + 30))
        await asyncio.sleep(0)
        with pytest.raises(DeadlineExceeded):  # one is enough to learn from
            await batcher.submit(pairs(*range(8)), deadline=now() + 30)
        assert (await tried).logits == [1.0, 2.0, 3.0, 4.0]
        for _ in range(3):
            await batcher.submit(pairs(1, 2, 3, 4), deadline=now() + 0.1)


@in_virtual_time
async def test_an_engine_that_is_still_slow_is_tried_once_in_a_while_and_not_more() -> None:
    engine = FakeEngine(seconds=60.0)
    async with open_batcher(engine) as batcher:
        await learn_pace(batcher)
        await asyncio.sleep(STALE_SECONDS)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await batcher.submit(pairs(1, 2, 3, 4), deadline=now() + 30)
        await asyncio.sleep(31)
        with pytest.raises(DeadlineExceeded):
            await batcher.submit(pairs(1, 2, 3, 4), deadline=now() + 30)
        assert len(engine.calls) == 2


@in_virtual_time
async def test_what_the_pace_allows_does_not_make_it_forgotten() -> None:
    async with open_batcher(FakeEngine(per_token=0.01)) as batcher:
        await learn_pace(batcher)
        await asyncio.sleep(STALE_SECONDS)
        waiting = asyncio.create_task(batcher.submit(pairs(1), deadline=now() + 30))
        await asyncio.sleep(0)
        assert batcher.pace.tokens_per_second == pytest.approx(100)
        await waiting


@in_virtual_time
async def test_a_service_that_stalled_once_serves_again() -> None:
    engine = FakeEngine(per_token=0.001)
    async with open_batcher(engine) as batcher:
        for _ in range(100):
            await batcher.submit(pairs(1, 2, 3, 4), deadline=now() + 2)
        engine.seconds = 600.0
        await batcher.submit(pairs(1, 2, 3, 4))
        engine.seconds = 0.0
        for _ in range(100):
            await batcher.submit(pairs(1, 2, 3, 4), deadline=now() + 2)


@in_virtual_time
async def test_a_cancelled_job_is_withdrawn_and_its_room_is_freed() -> None:
    engine, events = FakeEngine(seconds=1.0), list[Event]()
    async with open_batcher(engine, events) as batcher:
        running = asyncio.create_task(batcher.submit(pairs(1)))
        gone = asyncio.create_task(after(0.1, batcher.submit(pairs(2, 3))))
        await asyncio.sleep(0.5)
        gone.cancel()
        await asyncio.sleep(0)
        assert batcher.waiting_tokens == 0
        await running
    assert engine.batches == [[1]]
    assert PairsWithdrawn(2) in events


@in_virtual_time
async def test_cancelling_one_caller_mid_batch_leaves_neighbours_and_successors_alone() -> None:
    async with open_batcher(FakeEngine(seconds=1.0)) as batcher:
        gone = asyncio.create_task(batcher.submit(pairs(1)))
        neighbour = asyncio.create_task(batcher.submit(pairs(2)))
        await asyncio.sleep(0.5)
        gone.cancel()
        assert (await neighbour).logits == [2.0]
        assert (await batcher.submit(pairs(3))).logits == [3.0]


@in_virtual_time
async def test_only_the_slices_not_yet_run_are_withdrawn() -> None:
    engine, events = FakeEngine(seconds=1.0), list[Event]()
    async with open_batcher(engine, events, batch=20) as batcher:
        gone = asyncio.create_task(batcher.submit(pairs(1, 2, 3, 4, 5)))
        await asyncio.sleep(0.5)
        gone.cancel()
        await asyncio.sleep(1.0)
    assert len(engine.calls) == 1
    assert PairsWithdrawn(3) in events
