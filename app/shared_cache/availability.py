"""Whether the server is used. Reads that fail in a row stop its use; a probe starts it again."""

from __future__ import annotations

from collections.abc import Callable

MAX_FAILURES_IN_A_ROW = 5
PROBE_SECONDS = 1.0
# For a server that answers each probe but is too slow for the reads after it.
MAX_PROBE_SECONDS = 30.0
STEADY_SECONDS = 60.0


class Availability:
    """Each method returns whether it changed the use of the server."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._in_use: bool | None = None  # None before the first probe
        self._failures = 0
        self._up_since = 0.0
        self._rest = PROBE_SECONDS
        self._rest_until = 0.0

    @property
    def up(self) -> bool:
        return self._in_use is True

    @property
    def probe_is_due(self) -> bool:
        """In use, each time, so that a failure is noticed without requests."""
        return self.up or self._clock() >= self._rest_until

    def read_succeeded(self) -> None:
        self._failures = 0

    def read_failed(self) -> bool:
        self._failures += 1
        return self._failures >= MAX_FAILURES_IN_A_ROW and self._stop()

    def probe_failed(self) -> bool:
        """Before the first use, one failure is enough."""
        return self._stop() if self._in_use is None else self.read_failed()

    def probe_succeeded(self) -> bool:
        """In use, it says nothing about the reads, which have more to carry."""
        if self.up:
            return False
        self._in_use, self._failures, self._up_since = True, 0, self._clock()
        return True

    def _stop(self) -> bool:
        if self._in_use is False:
            return False
        was_steady = not self.up or self._clock() - self._up_since >= STEADY_SECONDS
        self._rest = PROBE_SECONDS if was_steady else min(2 * self._rest, MAX_PROBE_SECONDS)
        self._rest_until = self._clock() + self._rest
        self._in_use = False
        return True
