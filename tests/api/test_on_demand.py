"""What is opened at the first request that needs it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.api.on_demand import OnDemand

pytestmark = pytest.mark.anyio


class Library:
    """What takes a while to import, with the tasks that opened and closed it."""

    def __init__(self) -> None:
        self.made_in: list[threading.Thread] = []
        self.entered: list[asyncio.Task[None] | None] = []
        self.left: list[asyncio.Task[None] | None] = []
        self.broken = False

    def make(self) -> object:
        self.made_in.append(threading.current_thread())
        if self.broken:
            raise ImportError("half an installation")
        return self.opened()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[str]:
        self.entered.append(asyncio.current_task())
        try:
            yield "open"
        finally:
            self.left.append(asyncio.current_task())


def on_demand(library: Library) -> OnDemand[str]:
    return OnDemand(library.make)  # type: ignore[arg-type]


async def test_nothing_is_made_without_a_request() -> None:
    library = Library()
    async with on_demand(library).closed_at_end():
        pass
    assert library.made_in == []


async def test_concurrent_requests_get_what_is_made_once_and_off_the_loop() -> None:
    library = Library()
    wanted = on_demand(library)
    async with wanted.closed_at_end():
        assert await asyncio.gather(*(wanted.get() for _ in range(5))) == ["open"] * 5
        assert await wanted.get() == "open"
    assert len(library.made_in) == 1
    assert library.made_in[0] is not threading.current_thread()


async def test_the_task_that_opens_it_closes_it() -> None:
    library = Library()
    wanted = on_demand(library)

    async def request() -> str:
        return await wanted.get()

    async with wanted.closed_at_end():
        await asyncio.create_task(request())
        assert library.left == []
    assert library.left == library.entered
    assert library.left != [asyncio.current_task()]


async def test_a_caller_that_leaves_does_not_stop_the_opening() -> None:
    library = Library()
    wanted = on_demand(library)
    async with wanted.closed_at_end():
        leaving = asyncio.create_task(wanted.get())
        await asyncio.sleep(0)
        leaving.cancel()
        assert await wanted.get() == "open"
    assert len(library.made_in) == 1


async def test_after_a_failure_the_next_request_tries_again() -> None:
    library = Library()
    wanted = on_demand(library)
    library.broken = True
    async with wanted.closed_at_end():
        with pytest.raises(ImportError, match="half an installation"):
            await wanted.get()
        library.broken = False
        assert await wanted.get() == "open"
