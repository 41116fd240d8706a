"""How many questions are at language models at once, how many wait, and for how long."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.errors import ServiceError

# Of the latest call, in the running mean of the seconds that a call takes.
LATEST_CALL_WEIGHT = 0.2


class NoSlot(ServiceError):
    """Waiting for a language model would take too long, or too many wait already."""


@dataclass(frozen=True, eq=False, slots=True)
class Waiter:
    due: float  # when its own call has to be over
    turn: asyncio.Future[float]


class Slots:
    """First come, first served. A question that would wait in vain is refused as soon as possible.

    `queue` bounds the waiting questions. The wait is estimated from the start of the running calls
    and the duration of recent ones; each call that ends improves the estimate, so it is checked
    again for all waiting questions.
    """

    def __init__(self, count: int, queue: int) -> None:
        self._count = count
        self._queue = queue
        self._waiters: deque[Waiter] = deque()
        self._running: list[float] = []  # the start of each
        self._seconds = 0.0  # that a call takes; 0 until the first has ended

    @property
    def waiting(self) -> int:
        return len(self._waiters)

    @asynccontextmanager
    async def hold(self, left: float | None = None) -> AsyncIterator[None]:
        """A slot; or NoSlot if waiting is useless, with `left` seconds for the call."""
        now = asyncio.get_running_loop().time
        began = await self._enter(math.inf if left is None else now() + left)
        try:
            yield
        finally:
            self._observe(now() - began)
            self._leave(began)

    async def _enter(self, due: float) -> float:
        """The time at which the slot became ours."""
        if len(self._running) < self._count:
            return self._take()
        if self.waiting >= self._queue:
            raise NoSlot(f"{self.waiting} questions wait for the language models already")
        if reason := self._hopeless(self.waiting, due):
            raise NoSlot(reason)
        waiter = Waiter(due, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            return await waiter.turn
        except asyncio.CancelledError:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            elif not waiter.turn.cancelled() and waiter.turn.exception() is None:
                self._leave(waiter.turn.result())  # its turn came as it went away
            raise

    def _take(self) -> float:
        began = asyncio.get_running_loop().time()
        self._running.append(began)
        return began

    def _leave(self, began: float) -> None:
        """The slot goes directly to the next waiter, so that no newcomer gets it first."""
        self._running.remove(began)
        while self._waiters and len(self._running) < self._count:
            turn = self._waiters.popleft().turn
            if not turn.done():
                turn.set_result(self._take())
        self._dismiss()

    def _dismiss(self) -> None:
        kept: deque[Waiter] = deque()
        for waiter in self._waiters:
            reason = self._hopeless(len(kept), waiter.due)
            if not reason:
                kept.append(waiter)
            elif not waiter.turn.done():
                waiter.turn.set_exception(NoSlot(reason))
        self._waiters = kept

    def _hopeless(self, ahead: int, due: float) -> str:
        """Why a question behind `ahead` others should not wait; empty if it may."""
        wait = self._wait(ahead)
        left = due - asyncio.get_running_loop().time()
        if wait + self._seconds <= left:
            return ""
        return (
            f"{ahead} questions wait for the language models, about {wait:.1f} s, "
            f"and {max(left, 0):.1f} s are left"
        )

    def _wait(self, ahead: int) -> float:
        rounds, position = divmod(ahead, self._count)
        began = sorted(self._running)[position : position + 1]
        until_free = began[0] + self._seconds - asyncio.get_running_loop().time() if began else 0.0
        return max(0.0, until_free) + rounds * self._seconds

    def _observe(self, seconds: float) -> None:
        weight = LATEST_CALL_WEIGHT if self._seconds else 1.0
        self._seconds += weight * (seconds - self._seconds)
