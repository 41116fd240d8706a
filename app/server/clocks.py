"""Measures how long a body takes to arrive, without the time in which the server did not read."""

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
        """The pause counts neither as idle time nor in the total time."""
        if self._paused_at is not None:
            self._last_byte = self._loop.time()
            self._started += self._last_byte - self._paused_at
            self._paused_at = None

    def exceeds(self, idle_seconds: float, seconds: float) -> bool:
        now = self._loop.time() if self._paused_at is None else self._paused_at
        return now - self._last_byte >= idle_seconds or now - self._started >= seconds


class ClockedFlow(FlowControl):
    """Flow control that stops the body clock while reading is paused."""

    def __init__(self, transport: asyncio.Transport, clock: BodyClock) -> None:
        super().__init__(transport)
        self._clock = clock

    def pause_reading(self) -> None:
        self._clock.pause()
        super().pause_reading()

    def resume_reading(self) -> None:
        """uvicorn also calls this when the application first reads a body sent with `Expect:
        100-continue`."""
        self._clock.resume()
        super().resume_reading()
