"""A caller that goes away at an exact point: the k-th time its coroutine suspends or resumes."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Literal

Moment = Literal["suspending", "resuming"]


class CancelledAt(Coroutine[Any, Any, Any]):
    """Runs `inner`; at its k-th resumption cancels it.

    `resuming`: the result is there, and the task sees the cancellation in its place: what asyncio
    does when a future and a cancellation come in the same round. `suspending`: whatever it awaits
    next is cancelled at once.
    """

    def __init__(self, inner: Coroutine[Any, Any, Any], k: int, moment: Moment) -> None:
        self._inner = inner
        self._left = k
        self._moment = moment

    def send(self, value: Any) -> Any:
        self._left -= 1
        if self._left == 0:
            if self._moment == "resuming":
                return self._inner.throw(asyncio.CancelledError())
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        return self._inner.send(value)

    def throw(self, *error: Any) -> Any:
        return self._inner.throw(*error)

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Any:
        raise NotImplementedError("a task drives this")
