from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.fleet.policies import (
    LEAST_OUTSTANDING,
    POLICIES,
    RANDOM,
    ROUND_ROBIN,
    TWO_CHOICES,
    LeastOutstanding,
    RoundRobin,
    TwoChoices,
)

COUNTS = st.lists(st.integers(0, 50), min_size=1, max_size=40)
SEEDS = st.integers(0, 2**32)


class Draws(random.Random):
    """Draws what a test says."""

    def __init__(self, *draws: int) -> None:
        super().__init__(0)
        self._draws = iter(draws)

    def randrange(self, *_: int) -> int:  # type: ignore[override]
        return next(self._draws)


@pytest.mark.parametrize("name", POLICIES)
@given(counts=COUNTS, seed=SEEDS)
def test_every_policy_chooses_a_replica_that_exists_and_changes_nothing(
    name: str, counts: Sequence[int], seed: int
) -> None:
    before = list(counts)
    policy = POLICIES[name](random.Random(seed))
    assert all(0 <= policy.choose(counts) < len(counts) for _ in range(5))
    assert counts == before


@given(COUNTS, SEEDS)
def test_least_outstanding_never_chooses_a_busier_replica(counts: Sequence[int], seed: int) -> None:
    policy = LeastOutstanding(random.Random(seed))
    assert all(counts[policy.choose(counts)] == min(counts) for _ in range(5))


@given(st.integers(1, 20), SEEDS)
def test_equally_busy_replicas_have_turns(count: int, seed: int) -> None:
    policy = LeastOutstanding(random.Random(seed))
    chosen = Counter(policy.choose([3] * count) for _ in range(2 * count))
    assert chosen == dict.fromkeys(range(count), 2)


@given(COUNTS, SEEDS)
def test_round_robin_ignores_who_is_busy(counts: Sequence[int], seed: int) -> None:
    policy = RoundRobin(random.Random(seed))
    chosen = Counter(policy.choose(counts) for _ in range(3 * len(counts)))
    assert chosen == dict.fromkeys(range(len(counts)), 3)


@pytest.mark.parametrize(
    ("draws", "chosen"), [((0, 2), 2), ((2, 0), 2), ((0, 1), 0), ((1, 0), 1), ((0, 0), 0)]
)
def test_of_two_choices_the_one_with_fewer_requests_is_taken(
    draws: tuple[int, int], chosen: int
) -> None:
    assert TwoChoices(Draws(*draws)).choose([5, 5, 1]) == chosen


def spread(policy: str, requests: int = 3_000, replicas: int = 30) -> int:
    """Requests of the busiest replica above those of the idlest, when none ever ends."""
    chooser, counts = POLICIES[policy](random.Random(1)), [0] * replicas
    for _ in range(requests):
        counts[chooser.choose(counts)] += 1
    return max(counts) - min(counts)


def test_two_choices_balance_far_better_than_one_and_nearly_as_well_as_all() -> None:
    assert spread(ROUND_ROBIN) == spread(LEAST_OUTSTANDING) == 0
    assert spread(TWO_CHOICES) <= 6
    assert spread(RANDOM) > 5 * spread(TWO_CHOICES)


def test_the_names_are_those_of_the_table() -> None:
    names: dict[str, Callable[[random.Random], object]] = dict(POLICIES)
    assert list(names) == [RANDOM, ROUND_ROBIN, LEAST_OUTSTANDING, TWO_CHOICES]
