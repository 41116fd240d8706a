"""All open connections: how many there may be, which one has to go, what they hold unread."""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import Protocol

from app.events import ConnectionClosed, Observe
from app.server.limits import Limits
from app.server.outlet import Outlet


class Connection(Protocol):
    outlet: Outlet
    reserved: bool

    def check(self, now: float) -> None:
        """Close if a clock has run out."""

    def evict(self) -> None: ...

    def refuse_newcomer(self) -> None: ...

    def drop(self, reason: str) -> None: ...

    def close_after_answer(self) -> None: ...


class Unread:
    """How much a connection holds that its caller has not read, and since when it does not."""

    __slots__ = ("flushed", "progress_at", "size")

    def __init__(self, now: float, outlet: Outlet) -> None:
        self.size = 0
        self.flushed = outlet.flushed
        self.progress_at = now

    def measure(self, now: float, outlet: Outlet) -> int:
        """By how much it grew."""
        size, flushed = outlet.unread, outlet.flushed
        if flushed > self.flushed:
            self.flushed, self.progress_at = flushed, now
        growth, self.size = size - self.size, size
        return growth


class Connections:
    def __init__(self, limits: Limits, observe: Observe) -> None:
        self.limits = limits
        self._observe = observe
        self.draining = False
        self.unread_bytes = 0
        self._open: set[Connection] = set()
        # In the order of their waiting: the first has been idle the longest.
        self._headless: dict[Connection, None] = {}  # no complete head yet, or leaving
        self._idle: dict[Connection, None] = {}  # kept alive, between two requests
        self._reserve: set[Connection] = set()
        self._unread: dict[Connection, Unread] = {}
        self._sweep_seconds = limits.sweep_seconds
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open)

    # What connections report

    def opened(self, connection: Connection) -> None:
        if len(self._open) >= self.limits.connections:
            self._make_room(connection)
        self._open.add(connection)
        self._headless[connection] = None
        if self._timer is None:
            self._schedule()

    def closed(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._reserve.discard(connection)
        self._headless.pop(connection, None)
        self._idle.pop(connection, None)
        self._forget_unread(connection)

    def head_complete(self, connection: Connection) -> None:
        self._headless.pop(connection, None)
        self._idle.pop(connection, None)
        if connection.reserved:
            self._leave_reserve(connection)

    def became_idle(self, connection: Connection) -> None:
        self._idle[connection] = None

    def leaving(self, connection: Connection) -> None:
        if connection in self._open:
            self._headless[connection] = None

    def unread_changed(self, connection: Connection) -> None:
        now = asyncio.get_running_loop().time()
        if connection not in self._unread:
            self._unread[connection] = Unread(now, connection.outlet)
        self._measure(connection, now)
        if self.unread_bytes > self.limits.unread_bytes:
            self._bound_unread(now)

    def report_closing(self, reason: str) -> None:
        self._observe(ConnectionClosed(reason))

    def drain(self) -> None:
        """From now on every answer is the last one of its connection."""
        self.draining = True
        for connection in self._open:
            connection.close_after_answer()

    # The bound on their number

    def _make_room(self, newcomer: Connection) -> None:
        victim = self._longest_idle(reserved=False)
        if victim is None and len(self._reserve) >= self.limits.reserve:
            victim = self._longest_idle(reserved=True)
            if victim is None:
                newcomer.refuse_newcomer()
                return
        if victim is None or victim.reserved:
            newcomer.reserved = True
            self._reserve.add(newcomer)
        if victim is not None:
            self._evict(victim)

    def _leave_reserve(self, connection: Connection) -> None:
        """If there is room by now, or another could make it."""
        if len(self._open) - len(self._reserve) >= self.limits.connections:
            victim = self._longest_idle(reserved=False)
            if victim is None:
                return
            self._evict(victim)
        self._reserve.discard(connection)
        connection.reserved = False

    def _evict(self, victim: Connection) -> None:
        self.closed(victim)
        victim.evict()

    def _longest_idle(self, *, reserved: bool) -> Connection | None:
        return next(
            (
                connection
                for connection in chain(self._headless, self._idle)
                if connection.reserved is reserved and connection not in self._unread
            ),
            None,
        )

    # Clocks

    def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._sweep_seconds, self._sweep)

    def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in list(self._open):
            connection.check(now)
        self._measure_all(now)
        for connection, unread in list(self._unread.items()):
            if now - unread.progress_at >= self.limits.write_stall_seconds:
                connection.drop("write_stall")
                self._forget_unread(connection)
        self._timer = None
        if self._open:
            self._schedule()

    # The bound on unread answers

    def _measure(self, connection: Connection, now: float) -> None:
        self.unread_bytes += self._unread[connection].measure(now, connection.outlet)

    def _measure_all(self, now: float) -> None:
        for connection, unread in list(self._unread.items()):
            self._measure(connection, now)
            if not unread.size:
                del self._unread[connection]

    def _forget_unread(self, connection: Connection) -> None:
        unread = self._unread.pop(connection, None)
        if unread is not None:
            self.unread_bytes -= unread.size

    def _bound_unread(self, now: float) -> None:
        """A single answer may be larger than the bound: alone it is not refused."""
        self._measure_all(now)
        while self.unread_bytes > self.limits.unread_bytes and len(self._unread) > 1:
            victim = min(
                self._unread,
                key=lambda connection: (
                    self._unread[connection].progress_at,
                    -self._unread[connection].size,
                ),
            )
            self._forget_unread(victim)
            victim.drop("unread")
