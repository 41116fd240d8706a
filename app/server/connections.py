"""All open connections: limits their number and their unread bytes, and chooses which to close."""

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
        """Close the connection if a time limit has passed."""

    def evict(self) -> None: ...

    def refuse_newcomer(self) -> None: ...

    def drop(self, reason: str) -> None: ...

    def close_after_answer(self) -> None: ...


class Unread:
    """The bytes of a connection that the client has not read, and when it last read some."""

    __slots__ = ("flushed", "progress_at", "size")

    def __init__(self, now: float, outlet: Outlet) -> None:
        self.size = 0
        self.flushed = outlet.flushed
        self.progress_at = now

    def measure(self, now: float, outlet: Outlet) -> int:
        """Return how many bytes were added since the last call; negative if there are fewer."""
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
        # Both are in order of arrival: the first connection has waited the longest. `_headless`:
        # the request head is incomplete, or the connection is closing. `_idle`: kept alive
        # between two requests.
        self._headless: dict[Connection, None] = {}
        self._idle: dict[Connection, None] = {}
        self._reserve: set[Connection] = set()
        self._unread: dict[Connection, Unread] = {}
        self._sweep_seconds = limits.sweep_seconds
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open)

    # Called by connections

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
        """From now on, each connection closes after its current answer."""
        self.draining = True
        for connection in self._open:
            connection.close_after_answer()

    # The limit on the number of connections

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
        """Move to the normal slots if one is free or an idle connection can be closed for it."""
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

    # Time limits

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

    # The limit on unread answers

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
        """Drop the slowest readers. A single answer may exceed the limit if it is the only one."""
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
