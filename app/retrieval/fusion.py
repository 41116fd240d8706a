"""Several lists of candidates as one: reciprocal rank fusion, duplicates merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.retrieval.store import Candidate

DAMPING = 60  # as in Cormack, Clarke and Büttcher, 2009


def fuse(lists: Sequence[Sequence[Candidate]], k: int) -> list[Candidate]:
    """The best `k`. One list keeps its own order and scores; several are scored by their ranks."""
    merged = [merge(one) for one in lists]
    if len(merged) == 1:
        return merged[0][:k]
    tally = Tally()
    for one in merged:
        for place, candidate in enumerate(one, 1):
            tally.add(candidate, 1 / (DAMPING + place))
    return tally.sorted()[:k]


def merge(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Without those that an earlier one stands for."""
    tally = Tally()
    return [candidate for candidate in candidates if tally.add(candidate, 0.0)]


class Tally:
    """Candidates with their points. Two are one when they share their id, or their text."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], int] = {}
        self._kept: list[Candidate] = []
        self._points: list[float] = []

    def add(self, candidate: Candidate, points: float) -> bool:
        """Whether it is new."""
        keys = (("id", candidate.id), ("text", " ".join(candidate.text.split())))
        place = next((self._places[key] for key in keys if key in self._places), None)
        new = place is None
        if place is None:
            place = len(self._kept)
            self._kept.append(candidate)
            self._points.append(0.0)
        self._points[place] += points
        for key in keys:
            self._places.setdefault(key, place)
        return new

    def sorted(self) -> list[Candidate]:
        found = [
            replace(one, score=points) for one, points in zip(self._kept, self._points, strict=True)
        ]
        return sorted(found, key=lambda one: -(one.score or 0.0))
