"""Quantiles of any number of durations, in a fixed amount of memory."""

from __future__ import annotations

import math
from collections import Counter

# Between two buckets: the error of a quantile.
STEP = math.log(1.02)
SHORTEST_SECONDS = 1e-4


class Latencies:
    def __init__(self) -> None:
        self.count = 0
        self._buckets: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        self.count += 1
        self._buckets[round(math.log(max(seconds, SHORTEST_SECONDS)) / STEP)] += 1

    def quantile(self, share: float) -> float:
        """Seconds, within 1%."""
        left = math.ceil(share * self.count)
        for bucket in sorted(self._buckets):
            left -= self._buckets[bucket]
            if left <= 0:
                return math.exp(bucket * STEP)
        return 0.0
