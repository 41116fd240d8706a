"""How busy the engine was in the last minute, as a signal to scale on."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

WINDOW_SECONDS = 60.0
# Between two marks, the engine counts as evenly busy.
MARK_SECONDS = 1.0


class Mark(NamedTuple):
    time: float
    busy: float  # seconds, from the start of the process to this time


class Utilization:
    """The share of the time in which at least one call ran. Times come from one clock."""

    def __init__(self) -> None:
        self._running = 0
        self._since = 0.0  # when the first of the running calls started
        self._busy = 0.0  # seconds of all periods that have ended
        self._marks: deque[Mark] = deque()

    def start(self, now: float) -> None:
        self._mark(now)
        if not self._running:
            self._since = now
        self._running += 1

    def end(self, now: float) -> None:
        self._running -= 1
        if not self._running:
            self._busy += now - self._since
        self._mark(now)

    def at(self, now: float) -> float:
        """Over the last minute, or the time since the first call if that is shorter."""
        self._mark(now)
        first = self._marks[0]
        start = max(first.time, now - WINDOW_SECONDS)
        if now <= start:
            return float(self._running > 0)
        return (self._busy_until(now) - self._busy_at(start)) / (now - start)

    def _busy_until(self, now: float) -> float:
        return self._busy + (now - self._since if self._running else 0.0)

    def _busy_at(self, time: float) -> float:
        """At a time between the first two marks."""
        first, second = self._marks[0], self._marks[min(1, len(self._marks) - 1)]
        if second.time <= first.time:
            return first.busy
        share = min(1.0, (time - first.time) / (second.time - first.time))
        return first.busy + share * (second.busy - first.busy)

    def _mark(self, now: float) -> None:
        """Keep at most one mark a second, and of the older ones only the one before the window."""
        if not self._marks or now - self._marks[-1].time >= MARK_SECONDS:
            self._marks.append(Mark(now, self._busy_until(now)))
        while len(self._marks) > 1 and self._marks[1].time <= now - WINDOW_SECONDS:
            self._marks.popleft()
