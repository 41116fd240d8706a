"""What is opened at the first request that needs it, and closed with the service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class OnDemand(Generic[T]):
    """`make` runs in a thread, because it may import a large library.

    A task of its own opens and closes what it makes: a group of tasks must be closed by the task
    that opened it. After a failure, the next request tries again.
    """

    def __init__(self, make: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._make = make
        self._task: asyncio.Task[None] | None = None
        self._opened: asyncio.Future[T] | None = None

    async def get(self) -> T:
        if self._opened is None:
            self._opened = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._run(self._opened))
        return await asyncio.shield(self._opened)  # a caller that leaves must not cancel it

    async def _run(self, opened: asyncio.Future[T]) -> None:
        try:
            async with await asyncio.to_thread(self._make) as made:
                opened.set_result(made)
                await asyncio.Event().wait()
        except Exception as error:
            if opened.done():
                raise
            self._opened = None
            opened.set_exception(error)

    @asynccontextmanager
    async def closed_at_end(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            if self._task is not None:
                self._task.cancel()
                await asyncio.wait([self._task])
