"""Measures how long the event loop is held, in the processor time of its own thread.

What other processes take of the machine is not counted; nor is what other threads of this one do,
unless they keep the interpreter to themselves: that is what `late` is for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

PERIOD = 0.002
ATTEMPTS = 3

T = TypeVar("T")


@dataclass(order=True)
class Step:
    seconds: float
    name: str


@dataclass
class Watch:
    """The longest times: `busy` from one turn of the loop to the next, `late` by the clock."""

    busy: float = 0.0
    late: float = 0.0
    step: Step = field(default_factory=lambda: Step(0.0, ""))

    def __str__(self) -> str:
        spent = f"{self.busy * 1000:.0f} ms busy, {self.late * 1000:.0f} ms late"
        return f"{spent}; {self.step.seconds * 1000:.0f} ms in {self.step.name}"


@asynccontextmanager
async def watching() -> AsyncIterator[Watch]:
    watch = Watch()
    ticking = asyncio.create_task(tick(watch))
    await asyncio.sleep(0)
    with timed_steps(watch):
        try:
            yield watch
        finally:
            ticking.cancel()


async def watched(send: Callable[[], T], max_late: float) -> tuple[T, Watch]:
    """Sends from a thread; sends again if the loop was late, as another program may have taken the
    processors. What blocks the loop does so each time."""
    for _ in range(ATTEMPTS):
        async with watching() as watch:
            answer = await asyncio.to_thread(send)
        if watch.late < max_late:
            break
    return answer, watch


async def tick(watch: Watch) -> None:
    now = asyncio.get_running_loop().time
    while True:
        due, spent = now() + PERIOD, time.thread_time()
        await asyncio.sleep(PERIOD)
        watch.late = max(watch.late, now() - due)
        watch.busy = max(watch.busy, time.thread_time() - spent)


@contextmanager
def timed_steps(watch: Watch) -> Iterator[None]:
    """Every callback of every loop passes through `Handle._run`."""
    run = asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        started = time.thread_time()
        run(handle)
        seconds = time.thread_time() - started
        if seconds > watch.step.seconds:
            watch.step = Step(seconds, repr(handle)[:400])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.Handle, "_run", timed)
        yield
