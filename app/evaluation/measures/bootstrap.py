"""Tests if a difference is more than chance in the choice of queries: a paired bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from app.evaluation.measures.measures import Values

ROUNDS = 10_000
AT_ONCE = 250
LEVEL = 95
# With 5, a gain in all of them may be chance: 5 coins fall the same way in 1 of 16 cases.
MIN_QUESTIONS = 6


class Difference(NamedTuple):
    """The mean difference, and its 95% interval over random draws of the questions."""

    mean: float
    low: float
    high: float
    # Number of different queries: a repeated query counts once.
    questions: int

    @property
    def certain(self) -> bool:
        return self.questions >= MIN_QUESTIONS and (self.low > 0 or self.high < 0)


def difference(
    before: Values, after: Values, alike: Sequence[int], seed: int, rounds: int = ROUNDS
) -> Difference:
    """Queries with the same number in `alike` have the same text and are drawn together."""
    gains, times = np.bincount(alike, after - before), np.bincount(alike)
    count = len(gains)
    generator = np.random.default_rng(seed)
    means = []
    for done in range(0, rounds, AT_ONCE):
        drawn = generator.integers(0, count, (min(AT_ONCE, rounds - done), count))
        means.append(gains[drawn].sum(1) / times[drawn].sum(1))
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(np.concatenate(means), [tail, 100 - tail])
    return Difference(float((after - before).mean()), float(low), float(high), count)
