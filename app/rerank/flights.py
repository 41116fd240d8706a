"""Scores that are being computed now, for whoever asks for the same meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.rerank.cache import Known


@dataclass(frozen=True, slots=True)
class Flight:
    """`landed` is the score, or None when those who computed it gave up."""

    landed: asyncio.Future[Known | None]
    size: int  # documents of the request that it is for
    priority: int


class Flights:
    def __init__(self) -> None:
        self._flights: dict[bytes, Flight] = {}

    def find(self, key: bytes, size: int, priority: int) -> Flight | None:
        """Only one that cannot take longer than asking oneself: not for a larger request, nor for
        a less urgent one."""
        flight = self._flights.get(key)
        if flight is None or flight.size > size or flight.priority > priority:
            return None
        return flight

    @contextmanager
    def announce(self, keys: Iterable[bytes], size: int, priority: int) -> Iterator[None]:
        """While these are computed. Whatever has not landed at the end never will."""
        loop = asyncio.get_running_loop()
        ours = {
            key: Flight(loop.create_future(), size, priority)
            for key in keys
            if key not in self._flights
        }
        self._flights.update(ours)
        try:
            yield
        finally:
            for key, flight in ours.items():
                del self._flights[key]
                if not flight.landed.done():
                    flight.landed.set_result(None)

    def land(self, key: bytes, known: Known) -> None:
        flight = self._flights.get(key)
        if flight is not None and not flight.landed.done():
            flight.landed.set_result(known)
