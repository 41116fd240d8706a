"""Listens, serves requests, drains and shuts down."""

from __future__ import annotations

import asyncio
import gc
import logging
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
from app.server.limits import Limits
from app.server.protocol import LimitedProtocol

logger = logging.getLogger(__name__)

BACKLOG = 2048
# asyncio accepts up to this many connections before the protocol counts them.
ACCEPTED_AT_ONCE = 32
GRACE_SECONDS = 5


class CannotListen(Exception):
    """The address is in use or does not belong to this machine."""


class Server(uvicorn.Server):
    """Drains before it closes its socket, so that new requests still get an answer."""

    def __init__(
        self,
        app: Any,
        limits: Limits,
        *,
        drain: Callable[[float], Awaitable[None]],
        drain_seconds: float,
        settled: Callable[[], Awaitable[None]] | None = None,
        grace_seconds: float = GRACE_SECONDS,
        observe: Observe = ignore,
        exit_limit: ExitLimit | None = None,
        lifespan: bool = True,
    ) -> None:
        self.connections = Connections(limits, observe)
        config = make_config(app, self.connections, lifespan=lifespan)
        # uvicorn waits this long for connections; its annotation says int, but a float works.
        config.timeout_graceful_shutdown = grace_seconds  # type: ignore[assignment]
        super().__init__(config)
        self._grace_seconds = grace_seconds
        self._drain_service = drain
        self._drain_seconds = drain_seconds
        self._settled = settled
        self._exit_limit = exit_limit
        self._draining: asyncio.Task[None] | None = None
        self._freezing: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        for listener in sockets or ():  # asyncio has set their backlog to ACCEPTED_AT_ONCE
            listener.listen(BACKLOG)
        self.listening.set()
        if self._settled is not None:
            self._freezing = asyncio.create_task(freeze_after(self._settled), name="freeze")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first SIGTERM drains; any other signal ends the server at once."""
        if self._loop is None or self._draining is not None or sig != signal.SIGTERM:
            self._limit_exit()
            super().handle_exit(sig, frame)
        else:
            self._limit_exit(self._drain_seconds)
            self._loop.call_soon_threadsafe(self._start_draining)

    def end(self) -> None:
        """End without a signal, because there is nothing to serve."""
        self._limit_exit()
        self.should_exit = True

    def _limit_exit(self, drain_seconds: float = 0) -> None:
        """Allow the grace period twice: for connections, then for other resources and threads."""
        if self._exit_limit is not None:
            self._exit_limit.start(drain_seconds + 2 * self._grace_seconds)

    def _start_draining(self) -> None:
        self._draining = asyncio.create_task(self._drain(), name="drain")

    async def _drain(self) -> None:
        self.connections.drain()
        await self._drain_service(self._drain_seconds)
        self.should_exit = True


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


def listen(host: str, port: int) -> socket.socket:
    """Open the socket. Call this before loading, so that a port in use is reported at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        # Connections inherit this option; asyncio sets it only on sockets that it creates. Without
        # it, the second write of an answer waits 40 ms until the client acknowledges the first.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
    except OSError as error:
        raise CannotListen(f"cannot listen on {host}:{port}: {error.strerror}") from error
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{listener.getsockname()[1]}"
    logger.info("listening", extra={"fields": {"url": url}})
    return listener
