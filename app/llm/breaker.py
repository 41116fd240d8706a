"""A model that keeps failing is not called for a while; then one call decides."""

from __future__ import annotations

from collections.abc import Callable

MAX_FAILURES_IN_A_ROW = 5
REST_SECONDS = 30.0


class Breaker:
    """Closed: the model is called. Open: it is not. After its rest, one call decides which."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._open_until: float | None = None
        self._probing = False

    @property
    def open(self) -> bool:
        return self._open_until is not None

    def admits(self) -> bool:
        """If an open breaker returns True, the caller makes the one call that decides."""
        if self._open_until is None:
            return True
        if self._probing or self._clock() < self._open_until:
            return False
        self._probing = True
        return True

    def succeeded(self) -> None:
        self._failures, self._open_until, self._probing = 0, None, False

    def failed(self) -> None:
        self._failures += 1
        self._probing = False
        if self.open or self._failures >= MAX_FAILURES_IN_A_ROW:
            self._open_until = self._clock() + REST_SECONDS

    def withdrawn(self) -> None:
        """Neither: the caller went away."""
        self._probing = False
