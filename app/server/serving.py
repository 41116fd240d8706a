"""Listens, serves requests, drains and shuts down."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from types import FrameType
from typing import Any, cast

import uvicorn

from app.events import Observe, ignore
from app.server.connections import Connections
from app.server.exit_limit import ExitLimit
from app.server.leaving import Leaving, Service, Step, Times
from app.server.limits import Limits
from app.server.listening import BACKLOG, stop_listening
from app.server.protocol import LimitedProtocol

# asyncio accepts up to this many connections before the protocol counts them.
ACCEPTED_AT_ONCE = 32


class Server(uvicorn.Server):
    """Leaves before it closes its connections, so that each accepted request is answered."""

    def __init__(
        self,
        app: Any,
        limits: Limits,
        *,
        service: Service,
        times: Times,
        settled: Callable[[], Awaitable[None]] | None = None,
        observe: Observe = ignore,
        exit_limit: ExitLimit | None = None,
        lifespan: bool = True,
    ) -> None:
        self.connections = Connections(limits, observe)
        config = make_config(app, self.connections, lifespan=lifespan)
        # uvicorn waits this long for connections; its annotation says int, but a float works.
        config.timeout_graceful_shutdown = times.grace  # type: ignore[assignment]
        super().__init__(config)
        self._service = service
        self._times = times
        self._settled = settled
        self._exit_limit = exit_limit
        self._listeners: list[socket.socket] = []
        self._leaving = Leaving(service, times, self.connections, self._stop_listening)
        self._terminated = False  # by a first SIGTERM
        self._tasks: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self._listeners = sockets or []
        for listener in self._listeners:  # asyncio has set their backlog to ACCEPTED_AT_ONCE
            listener.listen(BACKLOG)
        self.listening.set()
        self._tasks.append(asyncio.create_task(self._leave(), name="leave"))
        if self._settled is not None:
            self._tasks.append(asyncio.create_task(freeze_after(self._settled), name="freeze"))

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first SIGTERM starts to leave, and the next signal ends the lame duck time. Any other
        signal ends the server at once."""
        if self._loop is not None and sig == signal.SIGTERM and not self._terminated:
            self._terminated = True
            self._limit_exit(self._times.total)
            self._loop.call_soon_threadsafe(self._service.leave)
        elif self._loop and self._terminated and self._leaving.step is not Step.DRAINING:
            self._limit_exit(self._times.after_lame_duck)
            self._loop.call_soon_threadsafe(self._leaving.shorten)
        else:
            self._limit_exit(self._times.end)
            super().handle_exit(sig, frame)

    def end(self) -> None:
        """End without a signal, because there is nothing to serve."""
        self._limit_exit(self._times.end)
        self.should_exit = True

    def _limit_exit(self, seconds: float) -> None:
        if self._exit_limit is not None:
            self._exit_limit.start(seconds)

    async def _leave(self) -> None:
        await self._service.leave_requested()
        if not self._terminated:  # `POST /drain`
            self._limit_exit(self._times.total)
        try:
            await self._leaving.run()
        finally:
            self.should_exit = True

    async def _stop_listening(self) -> None:
        await stop_listening(self.servers, self._listeners)


async def freeze_after(settled: Callable[[], Awaitable[None]]) -> None:
    """Exclude permanent objects from garbage collection after the model is loaded.

    The libraries hold half a million objects; each full collection blocked the event loop for
    0.3 s.
    """
    await settled()
    gc.collect()
    gc.freeze()


def make_config(app: Any, connections: Connections, *, lifespan: bool) -> uvicorn.Config:
    protocol = partial(LimitedProtocol, connections=connections)
    return uvicorn.Config(
        app,
        loop="asyncio",  # its clock is exact; the clock of uvloop counts whole milliseconds
        http=cast("type[asyncio.Protocol]", protocol),
        ws="none",  # the limits do not apply to WebSockets
        lifespan="on" if lifespan else "off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=ACCEPTED_AT_ONCE,
    )
