"""The time that a body may take, without the time in which the server itself did not read."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.flow_control import FlowControl


class BodyClock:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._started = 0.0
        self._last_byte = 0.0
        self._paused_at: float | None = None

    def start(self, *, paused: bool) -> None:
        self._started = self._last_byte = self._loop.time()
        self._paused_at = self._started if paused else None

    def restart_idle(self) -> None:
        self._last_byte = self._loop.time()

    def pause(self) -> None:
        if self._paused_at is None:
            self._paused_at = self._loop.time()

    def resume(self) -> None:
        """The pause does not count, neither as idle time nor in the whole."""
        if self._paused_at is not None:
            self._last_byte = self._loop.time()
            self._started += self._last_byte - self._paused_at
            self._paused_at = None

    def exceeds(self, idle_seconds: float, seconds: float) -> bool:
        now = self._loop.time() if self._paused_at is None else self._paused_at
        return now - self._last_byte >= idle_seconds or now - self._started >= seconds


class ClockedFlow(FlowControl):
    """Flow control that stops the clock while it does not read."""

    def __init__(self, transport: asyncio.Transport, clock: BodyClock) -> None:
        super().__init__(transport)
        self._clock = clock

    def pause_reading(self) -> None:
        self._clock.pause()
        super().pause_reading()

    def resume_reading(self) -> None:
        """Also called when the application first asks for a body that waits for `100 Continue`."""
        self._clock.resume()
        super().resume_reading()
