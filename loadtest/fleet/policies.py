"""How a load balancer chooses a replica. The outstanding requests are those that it knows of."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol


class Policy(Protocol):
    def choose(self, outstanding: Sequence[int]) -> int:
        """The index of a replica, by the number of unanswered requests of each."""
        ...


class Random:
    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def choose(self, outstanding: Sequence[int]) -> int:
        return self._chance.randrange(len(outstanding))


class RoundRobin:
    def __init__(self, chance: random.Random) -> None:
        self._next = chance.randrange(2**16)

    def choose(self, outstanding: Sequence[int]) -> int:
        self._next += 1
        return self._next % len(outstanding)


class LeastOutstanding:
    """Among equally busy replicas in turns, as HAProxy and nginx do."""

    def __init__(self, chance: random.Random) -> None:
        self._last = chance.randrange(2**16)

    def choose(self, outstanding: Sequence[int]) -> int:
        fewest, start = min(outstanding), (self._last + 1) % len(outstanding)
        try:
            self._last = outstanding.index(fewest, start)
        except ValueError:  # none from there to the end
            self._last = outstanding.index(fewest)
        return self._last


class TwoChoices:
    """Both draws may be the same replica, as in HAProxy and Envoy."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def choose(self, outstanding: Sequence[int]) -> int:
        count = len(outstanding)
        first, second = self._chance.randrange(count), self._chance.randrange(count)
        return second if outstanding[second] < outstanding[first] else first


RANDOM, ROUND_ROBIN = "random", "round robin"
LEAST_OUTSTANDING, TWO_CHOICES = "least outstanding", "two choices"
POLICIES: Mapping[str, Callable[[random.Random], Policy]] = {
    RANDOM: Random,
    ROUND_ROBIN: RoundRobin,
    LEAST_OUTSTANDING: LeastOutstanding,
    TWO_CHOICES: TwoChoices,
}
