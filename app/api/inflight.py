"""Limits the total bytes of all request bodies that are being read or processed."""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.context import context_of
from app.errors import QueueFull

# Memory of a parsed JSON value, in bytes of body text that need as much memory:
# docs/decisions/0013.
VALUE_BYTES = 20
# After this many released bytes, earlier releases have half the weight in the estimate.
HALF_LIFE_BYTES = 2**25
# Assumed holding time of a byte before any was released.
FIRST_GUESS_SECONDS = 1.0


class InflightBytes:
    """Counts bytes from arrival until the answer is sent, and measures how long they are held."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = limit
        self.held = 0
        self.now = clock
        self._released = 0.0  # bytes; recent ones have more weight
        self._byte_seconds = 0.0  # sum of the holding times of these bytes

    def add(self, count: int) -> None:
        over = self.held + count - self.limit
        if over > 0:
            raise QueueFull(
                f"the bodies of requests in progress take {self.held} of "
                f"{self.limit} bytes (max_inflight_mb); {count} more do not fit",
                retry_after=self.seconds_until_free(over),
            )
        self.held += count

    def remove(self, count: int, seconds: float) -> None:
        self.held -= count
        kept = 0.5 ** (count / HALF_LIFE_BYTES)
        self._released = self._released * kept + count
        self._byte_seconds = self._byte_seconds * kept + count * seconds

    def seconds_until_free(self, count: int) -> float:
        """Estimate; assumes that held bytes are released evenly over the recent holding time."""
        share = min(1.0, count / self.held) if self.held else 1.0
        held_for = self._byte_seconds / self._released if self._released else FIRST_GUESS_SECONDS
        return share * held_for


class Hold:
    """The bytes of one request: the maximum of announced, received and parsed size."""

    def __init__(self, budget: InflightBytes) -> None:
        self._budget = budget
        self._since = budget.now()
        self._bytes = 0

    def cover(self, count: int) -> None:
        if count > self._bytes:
            self._budget.add(count - self._bytes)
            self._bytes = count

    def cover_values(self, values: int) -> None:
        """Cover parsed values, up to the whole budget, so that any body is admitted if alone."""
        self.cover(min(values * VALUE_BYTES, self._budget.limit))

    def release(self) -> None:
        count, self._bytes = self._bytes, 0
        if count:
            self._budget.remove(count, self._budget.now() - self._since)


class HoldBodies:
    """Reserves the announced size of a body before reading, or else the bytes received so far."""

    def __init__(self, app: ASGIApp, budget: InflightBytes) -> None:
        self._app = app
        self._budget = budget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "GET":
            await self._app(scope, receive, send)
            return
        hold, came = Hold(self._budget), 0
        context_of(scope).hold = hold

        async def receive_held() -> Message:
            nonlocal came
            if not came:
                hold.cover(int(Headers(scope=scope).get("content-length") or 0))
            message = await receive()
            came += len(message.get("body", b""))
            hold.cover(came)
            return message

        try:
            await self._app(scope, receive_held, send)
        finally:
            hold.release()
