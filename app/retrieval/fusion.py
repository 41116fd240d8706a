"""Merges lists of candidates by reciprocal rank fusion, without duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.retrieval.store import Candidate

# The constant of Cormack, Clarke and Büttcher, 2009.
DAMPING = 60


def fuse(lists: Sequence[Sequence[Candidate]], k: int) -> list[Candidate]:
    """The best `k`. A single list keeps its order and scores; several are scored by ranks."""
    merged = [merge(candidates) for candidates in lists]
    if len(merged) == 1:
        return merged[0][:k]
    tally = Tally()
    for candidates in merged:
        for rank, candidate in enumerate(candidates, 1):
            tally.add(candidate, 1 / (DAMPING + rank))
    return tally.sorted()[:k]


def merge(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Without duplicates of earlier candidates."""
    tally = Tally()
    return [candidate for candidate in candidates if tally.add(candidate, 0.0)]


class Tally:
    """Candidates with their points. Those with the same id or the same text are duplicates."""

    def __init__(self) -> None:
        self._positions: dict[tuple[str, str], int] = {}
        self._kept: list[Candidate] = []
        self._points: list[float] = []

    def add(self, candidate: Candidate, points: float) -> bool:
        """Whether it is new."""
        keys = (("id", candidate.id), ("text", " ".join(candidate.text.split())))
        position = next((self._positions[key] for key in keys if key in self._positions), None)
        new = position is None
        if position is None:
            position = len(self._kept)
            self._kept.append(candidate)
            self._points.append(0.0)
        self._points[position] += points
        for key in keys:
            self._positions.setdefault(key, position)
        return new

    def sorted(self) -> list[Candidate]:
        fused = [
            replace(candidate, score=points)
            for candidate, points in zip(self._kept, self._points, strict=True)
        ]
        return sorted(fused, key=lambda candidate: -(candidate.score or 0.0))
