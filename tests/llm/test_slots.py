"""Which calls wait for a language model, which do not, and that no slot is ever lost."""

from __future__ import annotations

import asyncio
import random

import pytest

from app.llm.slots import NoSlot, Slots
from tests.virtual_time import in_virtual_time, now


async def call(slots: Slots, seconds: float = 10.0, left: float | None = None) -> float:
    """The time of its end."""
    async with slots.hold(left):
        await asyncio.sleep(seconds)
    return now()


async def crowd(slots: Slots, count: int, *, left: float | None = None) -> list[tuple[str, float]]:
    """The outcome and the end of each of `count` calls of ten seconds."""

    async def outcome() -> tuple[str, float]:
        try:
            return "over", await call(slots, left=left)
        except NoSlot:
            return "refused", now()

    return await asyncio.gather(*(outcome() for _ in range(count)))


@in_virtual_time
async def test_as_many_calls_as_slots_run_at_once_and_the_others_wait_in_order() -> None:
    outcomes = await crowd(Slots(2, 16), 6)
    assert outcomes == [("over", end) for end in (10, 10, 20, 20, 30, 30)]


@in_virtual_time
async def test_more_than_may_wait_are_refused_at_once() -> None:
    outcomes = await crowd(Slots(2, 3), 7)
    assert [when for what, when in outcomes if what == "refused"] == [0, 0]
    assert [when for what, when in outcomes if what == "over"] == [10, 10, 20, 20, 30]


@in_virtual_time
async def test_without_a_queue_no_call_waits_and_a_free_slot_is_taken() -> None:
    slots = Slots(1, 0)
    assert await crowd(slots, 2) == [("over", 10), ("refused", 0)]
    assert await call(slots) == 20


@in_virtual_time
async def test_a_call_that_would_wait_beyond_its_time_is_refused_at_once() -> None:
    slots = Slots(2, 16)
    await crowd(slots, 2)  # a call takes ten seconds
    outcomes = await crowd(slots, 6, left=25)
    assert outcomes == [("over", 20)] * 2 + [("over", 30)] * 2 + [("refused", 10)] * 2


@in_virtual_time
async def test_a_waiting_call_is_refused_once_calls_prove_to_take_too_long_for_it() -> None:
    outcomes = await crowd(Slots(2, 16), 12, left=39)
    assert [when for what, when in outcomes if what == "over"] == [10, 10, 20, 20, 30, 30]
    assert [when for what, when in outcomes if what == "refused"] == [10] * 6


@in_virtual_time
async def test_how_far_the_running_calls_are_counts() -> None:
    slots = Slots(1, 16)
    await call(slots)
    running = asyncio.create_task(call(slots))
    await asyncio.sleep(8)
    assert await call(slots, left=13) == 30
    assert await running == 20


@in_virtual_time
async def test_the_reason_says_how_many_wait_and_how_long() -> None:
    slots = Slots(1, 1)
    await call(slots)
    calls = [asyncio.create_task(call(slots)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(NoSlot, match=r"^1 questions wait for the language models already$"):
        await call(slots)
    calls[1].cancel()
    await asyncio.wait(calls[1:])
    late = r"^0 questions wait for the language models, about 10.0 s, and 15.0 s are left$"
    with pytest.raises(NoSlot, match=late):
        await call(slots, left=15)
    await calls[0]


@in_virtual_time
async def test_a_call_that_is_cancelled_gives_its_slot_to_the_next() -> None:
    slots = Slots(1, 16)
    calls = [asyncio.create_task(call(slots)) for _ in range(3)]
    await asyncio.sleep(5)
    calls[0].cancel()
    calls[1].cancel()  # it waits
    assert await calls[2] == 15
    assert slots.waiting == 0


@in_virtual_time
async def test_a_call_that_is_cancelled_as_its_turn_comes_passes_the_slot_on() -> None:
    slots = Slots(1, 16)
    first = asyncio.create_task(call(slots))
    waiting = [asyncio.create_task(call(slots)) for _ in range(2)]
    await asyncio.sleep(1)
    first.cancel()
    await asyncio.sleep(0)  # the slot is handed over, and no waiter has woken up
    waiting[0].cancel()
    assert await waiting[1] == 11


@pytest.mark.parametrize("seed", range(20))
def test_no_slot_is_lost_and_no_more_are_used_whatever_happens(seed: int) -> None:
    draw = random.Random(seed)

    @in_virtual_time
    async def test() -> None:
        slots, running, most = Slots(3, 5), 0, 0

        async def visit() -> None:
            nonlocal running, most
            await asyncio.sleep(draw.uniform(0, 20))
            async with slots.hold(draw.choice([None, 1.0, 10.0])):
                running += 1
                most = max(most, running)
                try:
                    await asyncio.sleep(draw.uniform(0, 5))
                    if draw.random() < 0.2:
                        raise ValueError
                finally:
                    running -= 1

        calls = [asyncio.create_task(visit()) for _ in range(60)]
        for each in draw.sample(calls, 20):
            asyncio.get_running_loop().call_later(draw.uniform(0, 22), each.cancel)
        await asyncio.gather(*calls, return_exceptions=True)
        assert (running, slots.waiting) == (0, 0)
        assert most <= 3
        assert [what for what, _ in await crowd(slots, 3)] == ["over"] * 3

    test()
