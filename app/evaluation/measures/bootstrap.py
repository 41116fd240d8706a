"""Is a difference more than the luck of which queries were asked? Paired, over questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from app.evaluation.measures.measures import Values

ROUNDS = 10_000
AT_ONCE = 250
LEVEL = 95
# With fewer, a gain in all of them may be luck: in 1 of 16 cases, 5 coins fall alike.
MIN_QUESTIONS = 6


class Difference(NamedTuple):
    """The mean difference, and where it lies in 95 of 100 draws of as many questions."""

    mean: float
    low: float
    high: float
    # Different queries: each counts once for chance, however often it occurs.
    questions: int

    @property
    def certain(self) -> bool:
        return self.questions >= MIN_QUESTIONS and (self.low > 0 or self.high < 0)


def difference(
    before: Values, after: Values, alike: Sequence[int], seed: int, rounds: int = ROUNDS
) -> Difference:
    """Queries that are `alike` ask the same, and are drawn together."""
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
