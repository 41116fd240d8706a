"""A model that keeps failing is left alone for a while, and then asked once."""

from __future__ import annotations

from collections.abc import Callable

FAILURES = 5  # in a row
REST = 30.0  # seconds


class Breaker:
    """Closed: asked. Open: not asked. After its rest, one call decides which it is."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._open_until: float | None = None
        self._probing = False

    @property
    def open(self) -> bool:
        return self._open_until is not None

    def admits(self) -> bool:
        """True takes the place of the one call that decides, if it is time for it."""
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
        if self.open or self._failures >= FAILURES:
            self._open_until = self._clock() + REST

    def withdrawn(self) -> None:
        """Neither: the caller went away."""
        self._probing = False
