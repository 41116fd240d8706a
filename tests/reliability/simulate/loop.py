"""An event loop without sockets or threads: time jumps to the next timer, the order is exact."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any


class Violation(AssertionError):
    """An invariant does not hold."""


class SimulatedThreads(Executor):
    """Threads that take virtual time: `seconds` says how long a call takes before it starts."""

    def __init__(self, count: int, seconds: Callable[..., float]) -> None:
        self._free_at = [0.0] * count
        self._seconds = seconds

    def ends_at(self, now: float, args: tuple[Any, ...]) -> float:
        start = max(now, heapq.heappop(self._free_at))
        end = start + self._seconds(*args)
        heapq.heappush(self._free_at, end)
        return end


class _Jump:
    """Stands where the loop expects a selector."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise Violation("deadlock: a request waits, and no timer or callback is left")
        if timeout > 0:
            self._loop.jump()
        return []

    def close(self) -> None: ...


class SimulatedLoop(asyncio.BaseEventLoop):
    """Use with `asyncio.Runner(loop_factory=SimulatedLoop)`. `after_step` runs after each round."""

    _scheduled: list[asyncio.TimerHandle]  # of BaseEventLoop; typeshed omits it

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._selector = _Jump(self)
        self._clock_resolution = 1e-9  # a timer that is due now must run now
        self.after_step: Callable[[], None] = lambda: None
        self.errors: list[str] = []
        self.set_exception_handler(lambda loop, context: self.errors.append(_described(context)))

    def time(self) -> float:
        return self._now

    def jump(self) -> None:
        self._now = max(self._now, self._scheduled[0].when())

    def run_in_executor(  # type: ignore[override]  # typeshed: a coroutine; asyncio: a future
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Call `func` on the loop, when its thread would be done with it."""
        future: asyncio.Future[Any] = self.create_future()
        if isinstance(executor, SimulatedThreads):
            self.call_at(executor.ends_at(self._now, args), _finish, future, func, args)
        else:
            self.call_soon(_finish, future, func, args)
        return future

    def _run_once(self) -> None:
        super()._run_once()  # type: ignore[misc]  # typeshed omits it
        self.after_step()

    def _process_events(self, event_list: list[Any]) -> None: ...

    def _write_to_self(self) -> None: ...

    def close(self) -> None:
        self.after_step = lambda: None
        super().close()


def _finish(future: asyncio.Future[Any], func: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        result = func(*args)
    except Exception as error:  # noqa: BLE001 (as a thread does: it belongs to the caller)
        if not future.done():
            future.set_exception(error)
    else:
        if not future.done():
            future.set_result(result)


def _described(context: dict[str, Any]) -> str:
    error = context.get("exception")
    return f"{context.get('message')}: {error!r}" if error else str(context.get("message"))
