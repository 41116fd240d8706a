"""Estimates the work that overtakes a job: that of later jobs which are due earlier.

Pure: callers pass the time. The allowance of a job is the time from its arrival until it is due.
"""

from __future__ import annotations

from collections import defaultdict
from math import ceil, exp2, log, log2

# The weight of a job is halved after so long.
HALF_LIFE_SECONDS = 10.0
MEAN_LIFE_SECONDS = HALF_LIFE_SECONDS / log(2)
# Allowances are counted in so many classes from each to its double.
CLASSES = 4


class Overtaking:
    """Recent work, by the allowance of its jobs."""

    def __init__(self) -> None:
        self._at = 0.0
        self._amounts: defaultdict[int, float] = defaultdict(float)

    def observe(self, now: float, allowance: float, amount: int) -> None:
        kept, self._at = self._kept(now), now
        for number in self._amounts:
            self._amounts[number] *= kept
        if allowance > 0:
            self._amounts[ceil(CLASSES * log2(allowance))] += amount

    def expected(self, now: float, allowance: float, seconds: float) -> float:
        """The work that arrives within so many seconds and is due before a job of this allowance
        that arrives now, if jobs go on to arrive as before."""
        recent = sum(
            amount * max(0.0, min(seconds, allowance - exp2(number / CLASSES)))
            for number, amount in self._amounts.items()
        )
        return recent * self._kept(now) / MEAN_LIFE_SECONDS

    def _kept(self, now: float) -> float:
        """The share of their weight that jobs have kept since the last one was observed."""
        return exp2((self._at - now) / HALF_LIFE_SECONDS)
