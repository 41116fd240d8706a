"""Contenders take turns, so that whatever else the machine does befalls them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import NamedTuple, TypeVar

T = TypeVar("T")


def take_turns(contenders: Mapping[str, Callable[[int], T]], rounds: int) -> dict[str, list[T]]:
    """What each measures in each round; every other round goes backwards.

    A contender is told the number of the round, so that all can use the same texts in it.
    """
    measured: dict[str, list[T]] = {name: [] for name in contenders}
    order = list(contenders)
    for number in range(rounds):
        for name in order:
            measured[name].append(contenders[name](number))
        order.reverse()
    return measured


class Turn(NamedTuple):
    """The second figure holds on a busy machine too, where the first is a share of what is left."""

    pairs_per_second: float
    pairs_per_core_second: float  # of processor time, all threads together


class Ratio(NamedTuple):
    """Of two contenders, round by round."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
        each = [our / their for our, their in zip(ours, theirs, strict=True)]
        return cls(median(each), min(each), max(each))

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.median:.2f}"
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"
