"""Tracks running calls of the engine, to detect a call that does not end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from app.rerank.pace import Pace
from app.rerank.utilization import Utilization

MIN_LIMIT_SECONDS = 30.0
# A call that takes longer than expected by this factor is considered to hang.
HANGING_FACTOR = 20


class Calls:
    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._utilization = Utilization()
        self._under_way: dict[
            object, tuple[float, float]
        ] = {}  # start and time limit, on the clock of the loop
        self.changed = asyncio.Event()

    @contextmanager
    def under_way(self, tokens: int) -> Iterator[None]:
        started, call = now(), object()
        self._under_way[call] = started, started + self.limit(tokens)
        self._utilization.start(started)
        self.changed.set()
        try:
            yield
        finally:
            del self._under_way[call]
            self._utilization.end(now())
            self.changed.set()

    def limit(self, tokens: int) -> float:
        """Seconds after which a call is considered to hang."""
        return max(MIN_LIMIT_SECONDS, HANGING_FACTOR * self._pace.seconds_for(tokens))

    @property
    def age(self) -> float:
        """Seconds since the oldest running call started; 0 if none runs."""
        return max((now() - started for started, _ in self._under_way.values()), default=0.0)

    @property
    def utilization(self) -> float:
        """Share of the last minute in which a call ran."""
        return self._utilization.at(now())

    @property
    def overdue(self) -> bool:
        return any(last <= now() for _, last in self._under_way.values())

    @property
    def next_overdue(self) -> float | None:
        """When the next call becomes overdue, on the clock of the loop; None if none runs."""
        return min((last for _, last in self._under_way.values()), default=None)


def now() -> float:
    return asyncio.get_running_loop().time()
