"""What became of the requests: latency, goodput and refusals, the same for both worlds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from loadtest.workload import DOCUMENTS, SMALL

ANSWERED = 200
REFUSED = (429, 503)


class Exchange(NamedTuple):
    """Seconds since the traffic began; status 0: the connection broke."""

    due: float
    ended: float
    status: int
    documents: int


class Outcome(NamedTuple):
    p50: float  # seconds, of all answers
    p99: float
    small_p99: float  # of the answers to small requests
    goodput: float  # answered pairs, share of the capacity of all replicas
    refused: float  # share of the requests: 429 and 503
    failed: float  # share that was neither answered nor refused: 504, or a broken connection
    requests: int
    statuses: Mapping[str, int]


def summarize(exchanges: Sequence[Exchange], start: float, end: float, capacity: float) -> Outcome:
    """Of requests that were due between `start` and `end`.

    Answers after the end count too: otherwise a large one at the border would decide.
    """
    due = [exchange for exchange in exchanges if start <= exchange.due < end]
    done = [exchange for exchange in due if exchange.status == ANSWERED]
    p50, p99 = percentiles((exchange.ended - exchange.due for exchange in done), 50, 99)
    small = (each.ended - each.due for each in done if each.documents == DOCUMENTS[SMALL])
    refused = sum(exchange.status in REFUSED for exchange in due)
    good = sum(exchange.documents for exchange in done)
    return Outcome(
        p50=p50,
        p99=p99,
        small_p99=percentiles(small, 99)[0],
        goodput=good / ((end - start) * capacity),
        refused=refused / max(1, len(due)),
        failed=1 - (len(done) + refused) / max(1, len(due)),
        requests=len(due),
        statuses=Counter(str(exchange.status) for exchange in due),
    )


def percentiles(seconds: Iterable[float], *shares: float) -> list[float]:
    """Infinite where there is no answer."""
    values = list(seconds)
    if not values:
        return [float("inf")] * len(shares)
    return [float(value) for value in np.percentile(values, shares)]
