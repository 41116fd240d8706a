"""Is a difference more than the luck of which queries were asked? Paired, over queries."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from app.evaluation.measures import Values

ROUNDS = 10_000
AT_ONCE = 250
LEVEL = 95


class Difference(NamedTuple):
    """The mean difference, and where it lies in 95 of 100 draws of as many queries."""

    mean: float
    low: float
    high: float

    @property
    def certain(self) -> bool:
        return self.low > 0 or self.high < 0


def difference(before: Values, after: Values, seed: int, rounds: int = ROUNDS) -> Difference:
    gains = after - before
    generator = np.random.default_rng(seed)
    means = [
        gains[generator.integers(0, len(gains), (min(AT_ONCE, rounds - done), len(gains)))].mean(1)
        for done in range(0, rounds, AT_ONCE)
    ]
    tail = (100 - LEVEL) / 2
    low, high = np.percentile(np.concatenate(means), [tail, 100 - tail])
    return Difference(float(gains.mean()), float(low), float(high))
