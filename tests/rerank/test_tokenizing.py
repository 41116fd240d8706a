"""What waits for the tokenizer: admitted, in turn, withdrawn. Each thread takes virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from typing import Any

import pytest

from app.engines import Encoded
from app.errors import DeadlineExceeded, Draining, InvalidRequest, QueueFull
from app.rerank.admission import STALE_SECONDS
from app.rerank.tokenizing import FIRST_CHARS_PER_SECOND, Tokenizing
from app.rerank.turns import Portion
from tests.fakes import SlowThreads, pair
from tests.virtual_time import in_virtual_time, now

PACE = 1000  # characters a second


def encode(texts: Sequence[str]) -> list[Encoded]:
    return [Encoded(pair(1, len(text)), 1, 1, 1) for text in texts]


def new_tokenizing(threads: Executor, max_chars: int, at_once: int = 1) -> Tokenizing:
    return Tokenizing(threads, max_chars, at_once, chars_per_second=PACE)


def portions(letter: str, *sizes: int) -> list[Portion]:
    return [Portion(start, [letter * size], size) for start, size in enumerate(sizes)]


async def ask(
    tokenizing: Tokenizing,
    letter: str,
    *sizes: int,
    limit: float = 1000,
    priority: int = 0,
    **more: Any,
) -> list[int]:
    """The lengths of the texts, as the tokenizer saw them."""
    encoded = await tokenizing.encode(
        more.pop("encode", encode),
        portions(letter, *sizes),
        priority=priority,
        deadline=now() + limit,
        **more,
    )
    return [int(text.pair.ids[0]) for text in encoded]


@in_virtual_time
async def test_portions_come_back_in_their_own_order() -> None:
    tokenizing = new_tokenizing(SlowThreads(PACE), 10_000, at_once=3)
    assert await ask(tokenizing, "a", 30, 10, 20, 5) == [30, 10, 20, 5]
    assert tokenizing.waiting_chars == 0


@in_virtual_time
async def test_small_requests_go_before_large_ones_and_nobody_starves() -> None:
    threads = SlowThreads(PACE)
    tokenizing = new_tokenizing(threads, 1_000_000)
    large = asyncio.create_task(ask(tokenizing, "L", *[1000] * 5))
    small = []
    for _ in range(100):  # nearly all that the tokenizer can do
        small.append(asyncio.create_task(ask(tokenizing, "s", 450)))
        await asyncio.sleep(0.5)
    done_at_end_of_stream = large.done()
    await asyncio.gather(large, *small)
    assert done_at_end_of_stream
    order = [letter for _, letter in threads.begun]
    assert order[:4] == ["L", "s", "s", "s"]


@in_virtual_time
async def test_as_many_portions_are_under_way_as_there_are_threads() -> None:
    threads = SlowThreads(PACE)
    tokenizing = new_tokenizing(threads, 10_000, at_once=2)
    await ask(tokenizing, "a", 100, 100, 100)
    assert [moment for moment, _ in threads.begun] == pytest.approx([0.0, 0.0, 0.1])


@in_virtual_time
async def test_the_backlog_is_what_waits_and_what_is_under_way() -> None:
    tokenizing = new_tokenizing(SlowThreads(PACE), 10_000)
    assert tokenizing.backlog_seconds == 0.0
    request = asyncio.create_task(ask(tokenizing, "a", 500, 300))
    await asyncio.sleep(0)
    assert tokenizing.waiting_chars == 300
    assert tokenizing.backlog_seconds == pytest.approx(0.8, rel=0.01)
    await request


@in_virtual_time
async def test_a_caller_that_goes_withdraws_what_waits() -> None:
    threads = SlowThreads(PACE)
    tokenizing = new_tokenizing(threads, 10_000)
    gone = asyncio.create_task(ask(tokenizing, "a", 100, 100, 100))
    await asyncio.sleep(0.05)
    assert tokenizing.waiting_chars == 200
    gone.cancel()
    assert await ask(tokenizing, "b", 10) == [10]
    assert tokenizing.waiting_chars == 0
    assert [letter for _, letter in threads.begun] == ["a", "b"]
    with pytest.raises(asyncio.CancelledError):
        await gone


@in_virtual_time
async def test_more_than_may_wait_is_refused_before_any_work_and_told_when_to_come_back() -> None:
    threads = SlowThreads(PACE)
    tokenizing = new_tokenizing(threads, 1000)
    running = asyncio.create_task(ask(tokenizing, "a", 500))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(ask(tokenizing, "b", 900))
    await asyncio.sleep(0)
    begun, started = len(threads.begun), now()
    with pytest.raises(QueueFull, match="900 of 1000 characters are waiting; 200") as refusal:
        await ask(tokenizing, "c", 200)
    assert (len(threads.begun), now()) == (begun, started)
    await asyncio.sleep(refusal.value.retry_after)
    assert await ask(tokenizing, "c", 200) == [200]
    await asyncio.gather(running, waiting)


@in_virtual_time
async def test_what_could_never_wait_is_the_callers_mistake() -> None:
    with pytest.raises(
        InvalidRequest, match="1001 characters; the queue accepts at most 1000"
    ) as refusal:
        await ask(new_tokenizing(SlowThreads(PACE), 1000), "a", 1001)
    assert (refusal.value.field, refusal.value.limit) == ("documents", 1000)


@in_virtual_time
async def test_what_would_miss_its_limit_is_refused_before_the_work() -> None:
    threads = SlowThreads(PACE)
    tokenizing = new_tokenizing(threads, 100_000)
    with pytest.raises(DeadlineExceeded, match=r"tokenizing takes about 2\.0 s; 1\.0 s"):
        await ask(tokenizing, "a", 2000, limit=1)
    running = asyncio.create_task(ask(tokenizing, "b", 3000))
    await asyncio.sleep(0)
    with pytest.raises(QueueFull, match=r"takes about 3\.0 s; ") as refusal:
        await ask(tokenizing, "c", 100, limit=1)
    assert refusal.value.retry_after == pytest.approx(3.0, rel=0.001)
    assert [letter for _, letter in threads.begun] == ["b"]
    await running


@in_virtual_time
async def test_what_waits_and_what_is_under_way_stand_before_a_newcomer() -> None:
    tokenizing = new_tokenizing(SlowThreads(PACE), 100_000)
    others = [asyncio.create_task(ask(tokenizing, "a", size)) for size in (500, 300)]
    await asyncio.sleep(0)
    with pytest.raises(QueueFull, match=r"about 0\.8 s; 1\.5 s are left") as refusal:
        await ask(tokenizing, "b", 900, limit=1.5)
    assert refusal.value.retry_after == pytest.approx(0.5, rel=1e-6)
    await asyncio.gather(*others)


@in_virtual_time
async def test_what_was_admitted_before_is_not_refused_now() -> None:
    tokenizing = new_tokenizing(SlowThreads(PACE), 100)
    assert await ask(tokenizing, "a", 80, 80, admitted=True) == [80, 80]


@in_virtual_time
async def test_after_a_pause_a_slow_pace_is_tried_and_not_trusted() -> None:
    threads = SlowThreads(pace=1)
    tokenizing = new_tokenizing(threads, 100_000)
    await ask(tokenizing, "-", 50)
    threads.pace = PACE
    with pytest.raises(DeadlineExceeded):
        await ask(tokenizing, "a", 1000, limit=10)
    await asyncio.sleep(STALE_SECONDS)
    assert await ask(tokenizing, "a", 1000, limit=10) == [1000]
    assert await ask(tokenizing, "a", 1000, limit=10) == [1000]


@pytest.mark.parametrize(("calls", "seconds"), [(1, 0.1), (1000, 0.001)])
@in_virtual_time
async def test_short_texts_say_little_about_the_time_of_a_large_request(
    calls: int, seconds: float
) -> None:
    threads = SlowThreads(pace=20 / seconds)
    tokenizing = Tokenizing(threads, 10_000_000)
    for _ in range(calls):
        await ask(tokenizing, "-", 20)
    threads.pace = FIRST_CHARS_PER_SECOND
    assert await ask(tokenizing, "L", 2_000_000, limit=10) == [2_000_000]


@in_virtual_time
async def test_a_text_that_cannot_be_tokenized_fails_its_own_request_and_no_other() -> None:
    def broken(texts: Sequence[str]) -> list[Encoded]:
        raise ValueError("half a character")

    threads = SlowThreads(PACE)
    tokenizing = new_tokenizing(threads, 10_000)
    failing = asyncio.create_task(ask(tokenizing, "x", 10, 10, 10, encode=broken))
    assert await ask(tokenizing, "a", 10) == [10]
    with pytest.raises(ValueError, match="half a character"):
        await failing
    assert tokenizing.waiting_chars == 0
    assert [letter for _, letter in threads.begun].count("x") == 1


@pytest.mark.parametrize("how", ["cancelled", "gone"])
def test_threads_that_end_are_a_refusal_and_no_hang(how: str) -> None:
    class Ending(SlowThreads):
        def submit(self, call: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
            if how == "gone":
                raise RuntimeError("cannot schedule new futures after shutdown")
            future: Future[Any] = Future()
            future.cancel()
            return future

    @in_virtual_time
    async def run() -> None:
        tokenizing = new_tokenizing(Ending(PACE), 10_000)
        with pytest.raises(Draining):
            await ask(tokenizing, "a", 10, 10)
        assert tokenizing.waiting_chars == 0

    run()
