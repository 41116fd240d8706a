"""Whether the two periods differ: for each quantity, and in one word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from app.evaluation.drift.quantity import LimitName, Quantity
from app.evaluation.measures.clusters import MIN_CLUSTERS, ROUNDS, Change, compare
from app.evaluation.measures.measures import Values

State = Literal["steady", "better", "shifted", "worse", "too_little_data"]
# What a scheduler sees; 1 and 2 are errors.
EXIT_CODES: Mapping[State, int] = {
    "steady": 0,
    "better": 0,
    "shifted": 3,
    "worse": 4,
    "too_little_data": 5,
}
BINS = 10


@dataclass(frozen=True, slots=True)
class Limits:
    """`alpha`: the share of pairs of equal periods that may be called different.

    The others say how large a change must be to matter.
    """

    alpha: float = 0.01
    shift: float = 0.1
    share: float = 0.05
    loss: float = 0.02

    def of(self, name: LimitName) -> float:
        return {"shift": self.shift, "share": self.share, "loss": self.loss}[name]


@dataclass(frozen=True, slots=True)
class Finding:
    """`change` is that of the tested values, `mean` that of the means; None: too few clusters.

    `p` is adjusted for the number of quantities that were tested.
    """

    quantity: Quantity
    limit: float
    change: Change | None = None
    mean: Change | None = None
    p: float = 1.0
    alpha: float = 0.01

    @property
    def size(self) -> float:
        return 0.0 if self.change is None else float(np.abs(self.change.differences).max())

    @property
    def state(self) -> State:
        """Steady only if a change that matters would have been seen."""
        if self.change is None:
            return "too_little_data"
        if self.size < self.limit:
            return "steady" if self.change.chance <= self.limit else "too_little_data"
        if self.p >= self.alpha:
            return "too_little_data"
        if not self.quantity.judges:
            return "shifted"
        return "better" if self.change.differences[0] > 0 else "worse"


def judge(
    quantities: Sequence[Quantity], limits: Limits, seed: int, rounds: int = ROUNDS
) -> list[Finding]:
    findings = [examine(quantity, limits, seed, rounds) for quantity in quantities]
    deciding = [each for each in findings if each.quantity.decides and each.change is not None]
    adjusted = dict(
        zip(
            (each.quantity.name for each in deciding),
            holm([each.p for each in deciding]),
            strict=True,
        )
    )
    return [
        Finding(
            each.quantity,
            each.limit,
            each.change,
            each.mean,
            adjusted.get(each.quantity.name, each.p),
            limits.alpha,
        )
        for each in findings
    ]


def examine(quantity: Quantity, limits: Limits, seed: int, rounds: int) -> Finding:
    limit = limits.of(quantity.limit)
    tested = quantity.tested
    if min(tested.before.count, tested.after.count) < MIN_CLUSTERS:
        return Finding(quantity, limit)
    change = compare(*tested, alpha=limits.alpha, seed=seed, rounds=rounds)
    mean = change
    if quantity.shares is not None:
        mean = compare(*quantity.means, alpha=limits.alpha, seed=seed, rounds=rounds)
    return Finding(quantity, limit, change, mean, change.p)


def holm(values: Sequence[float]) -> list[float]:
    """Adjusted so that all tests together give a false alarm as rarely as a single one."""
    adjusted, largest = [0.0] * len(values), 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=lambda index: values[index])):
        largest = max(largest, min(1.0, (len(values) - rank) * values[index]))
        adjusted[index] = largest
    return adjusted


def overall(findings: Sequence[Finding]) -> State:
    states = {each.state for each in findings if each.quantity.decides}
    ordered: tuple[State, ...] = ("worse", "shifted", "better", "steady")
    return next((state for state in ordered if state in states), "too_little_data")


def jensen_shannon(before: Values, after: Values) -> float:
    """The distance of two distributions by their cumulative shares: 0 the same, 1 disjoint.

    Over ten bins with about as many requests each, since a distance over many bins is mostly noise.
    """
    middle = (before + after) / 2
    ends = np.searchsorted(middle, np.arange(1, BINS + 1) / BINS - 1e-9)
    places = np.unique(np.minimum(ends, len(middle) - 1))
    first, second = (np.diff(shares[places], prepend=0.0) for shares in (before, after))
    divergence = sum(relative_entropy(each, (first + second) / 2) for each in (first, second)) / 2
    return float(np.sqrt(max(0.0, divergence)))


def relative_entropy(shares: Values, base: Values) -> float:
    filled = shares > 0
    return float((shares[filled] * np.log2(shares[filled] / base[filled])).sum())
