"""Tokenizes texts in threads: admits requests, schedules their portions, withdraws cancelled ones.

Only the event loop changes the state. In every case, the future of each request is resolved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial

from app.engines import Encoded
from app.errors import Draining
from app.rerank.admission import Admission, Load
from app.rerank.pace import Pace
from app.rerank.turns import Portion, Turns, Work

Encode = Callable[[Sequence[str]], Sequence[Encoded]]
# About the speed of one processor.
FIRST_CHARS_PER_SECOND = 1e6
# The first texts are often short, and a thread may wait for a processor: such a call says little
# about the pace.
GUESS_SECONDS = 0.05
# A call takes as long as this many characters, however short its texts are.
CALL_CHARS = 1000
CLOSED = "the service is shutting down"


@dataclass(eq=False, slots=True)
class Request(Work):
    encode: Encode
    future: asyncio.Future[None]
    done: dict[int, Sequence[Encoded]] = field(default_factory=dict)  # by the start of the portion

    def deliver(self, portion: Portion, encoded: Sequence[Encoded]) -> None:
        self.done[portion.start] = encoded
        if len(self.done) == len(self.portions) and not self.future.done():
            self.future.set_result(None)

    def fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


class Tokenizing:
    """`at_once`: number of portions that are tokenized concurrently, each in its own thread."""

    def __init__(
        self,
        threads: Executor,
        max_chars: int,
        at_once: int = 1,
        chars_per_second: float = FIRST_CHARS_PER_SECOND,
    ) -> None:
        """`chars_per_second`: a first estimate."""
        self._threads = threads
        self._at_once = at_once
        pace = Pace(chars_per_second, GUESS_SECONDS)
        self._admission = Admission(max_chars, "characters", "tokenizing", pace)
        self._turns: Turns[Request] = Turns()
        self._running: dict[object, int] = {}  # characters of each running portion
        self._last_ended = 0.0

    @property
    def pace(self) -> Pace:
        return self._admission.pace

    @property
    def waiting_chars(self) -> int:
        return self._turns.chars

    @property
    def backlog_seconds(self) -> float:
        """Estimated seconds for all waiting and running portions."""
        return self.pace.seconds_for(self._turns.chars + sum(self._running.values()))

    async def encode(
        self,
        encode: Encode,
        portions: Sequence[Portion],
        *,
        priority: int,
        deadline: float,
        admitted: bool = False,
    ) -> list[Encoded]:
        """Return the results of `encode` for all portions, in order. `admitted`: never refuse."""
        loop = asyncio.get_running_loop()
        chars = sum(portion.chars for portion in portions)
        due = self._admission.due(loop.time(), chars, priority, deadline)
        if not admitted:
            self._refuse(chars, due, deadline - loop.time())
        request = Request(portions, due, encode, loop.create_future())
        self._turns.add(request)
        self._start()
        try:
            await request.future
        finally:
            self._turns.remove(request)
        return [encoded for portion in portions for encoded in request.done[portion.start]]

    def _refuse(self, chars: int, due: float, left: float) -> None:
        running = sum(self._running.values())
        idle = 0.0 if self._running else asyncio.get_running_loop().time() - self._last_ended
        load = Load(running, 0, idle)
        self._admission.refuse_if_full(self._turns.chars, chars, load)
        ahead = running + self._turns.chars_before(due)
        self._admission.refuse_if_late(left, ahead, chars, load)

    def _start(self) -> None:
        """Start portions until one runs in each thread."""
        loop = asyncio.get_running_loop()
        while len(self._running) < self._at_once and (taken := self._turns.take()):
            request, portion = taken
            mark, started = object(), loop.time()
            try:
                result = loop.run_in_executor(self._threads, request.encode, portion.texts)
            except RuntimeError as error:  # the executor is shut down
                request.fail(closed(error))
                continue
            self._running[mark] = portion.chars
            result.add_done_callback(partial(self._end, mark, request, portion, started))

    def _end(
        self,
        mark: object,
        request: Request,
        portion: Portion,
        started: float,
        result: asyncio.Future[Sequence[Encoded]],
    ) -> None:
        del self._running[mark]
        ended = asyncio.get_running_loop().time()
        # Exclude the time in which the processors also worked on another portion.
        self.pace.observe(portion.chars + CALL_CHARS, ended - max(started, self._last_ended))
        self._last_ended = ended
        error = closed() if result.cancelled() else result.exception()
        if error is not None:
            request.fail(error)
            self._turns.remove(request)
        else:
            request.deliver(portion, result.result())
        self._start()


def closed(cause: Exception | None = None) -> Draining:
    refusal = Draining(CLOSED, retry_after=1.0)
    refusal.__cause__ = cause
    return refusal
