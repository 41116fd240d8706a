"""The steps from the first SIGTERM, or `POST /drain`, to the end of the process.

Load balancers and clients notice seconds later that a process leaves. Until they do, it serves
their requests: the lame duck time. Then no connection can be opened any more, and the process ends
when the last request is answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from app.server.connections import Connections

logger = logging.getLogger(__name__)


class Service(Protocol):
    """What the server needs of the service that it serves."""

    @property
    def can_serve(self) -> bool:
        """Whether requests would be served, whether or not the process leaves."""

    def leave(self) -> None:
        """Become unready, but serve requests as before."""

    async def leave_requested(self) -> None:
        """Return after `leave` was called."""

    async def drain(self, seconds: float, *, refuse: bool) -> None:
        """Return when all accepted requests are answered, or time is up."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds that the steps may take."""

    drain: float
    lame_duck: float = 0.0
    grace: float = 5.0  # for connections to close, and once more for threads and resources

    @property
    def after_lame_duck(self) -> float:
        return self.drain + 2 * self.grace

    @property
    def total(self) -> float:
        return self.lame_duck + self.after_lame_duck

    @property
    def end(self) -> float:
        return 2 * self.grace


class Step(Enum):
    SERVING = auto()
    LAME_DUCK = auto()
    DRAINING = auto()


class Leaving:
    def __init__(
        self,
        service: Service,
        times: Times,
        connections: Connections,
        stop_listening: Callable[[], Awaitable[None]],
    ) -> None:
        self.step = Step.SERVING
        self._service = service
        self._times = times
        self._connections = connections
        self._stop_listening = stop_listening
        self._shortened = asyncio.Event()

    def shorten(self) -> None:
        """End the lame duck time now."""
        self._shortened.set()

    async def run(self) -> None:
        """Return when the server may end. Without a lame duck time, newcomers are refused with 503,
        because no load balancer is known to send them elsewhere."""
        self._connections.drain()
        served = self._times.lame_duck > 0 and self._service.can_serve
        if served:
            await self._serve_until_callers_left()
        self.step = Step.DRAINING
        await self._service.drain(self._times.drain, refuse=not served)

    async def _serve_until_callers_left(self) -> None:
        self.step = Step.LAME_DUCK
        seconds = self._times.lame_duck
        logger.info("leaving", extra={"fields": {"lame_duck_seconds": seconds}})
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._shortened.wait()
        await self._stop_listening()
