from __future__ import annotations

import itertools
import random

import pytest

from loadtest.traffic import BROKEN, Sent, pairs_per_second, poisson_arrivals, steady_rate
from loadtest.workload import Request


def sent(ended: float, *, due: float = 0.0, documents: int = 10, status: int = 200) -> Sent:
    return Sent(Request("q", ("d",) * documents), due, ended, status, b"")


def test_arrivals_are_as_many_as_asked_in_order_and_within_the_time() -> None:
    arrivals = poisson_arrivals(500, 60, random.Random(1))
    assert len(arrivals) == 500
    assert arrivals == sorted(arrivals)
    assert 0 <= arrivals[0] < arrivals[-1] <= 60


def test_gaps_between_arrivals_vary_as_those_of_a_poisson_process_do() -> None:
    """Their standard deviation is their mean; even arrivals would have none."""
    arrivals = poisson_arrivals(5000, 5000, random.Random(1))
    gaps = [later - earlier for earlier, later in itertools.pairwise(arrivals)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert mean == pytest.approx(1, rel=0.02)
    assert deviation == pytest.approx(1, rel=0.05)


def test_latency_counts_from_when_a_request_was_due() -> None:
    assert sent(5.0, due=2.0).seconds == 3.0


def test_pairs_per_second_counts_only_answers_and_until_the_last() -> None:
    exchanges = [sent(1), sent(2), sent(9, status=429), sent(9, status=BROKEN)]
    assert pairs_per_second(exchanges) == 10
    assert pairs_per_second([]) == 0


def test_a_standstill_at_the_end_lowers_the_steady_rate() -> None:
    flowing = [sent(float(second)) for second in range(1, 11)]
    assert steady_rate(flowing, until=10) == pytest.approx(10)
    assert steady_rate(flowing[:4], until=10) == pytest.approx(30 / 9)


def test_a_steady_rate_needs_two_answers_in_time() -> None:
    assert steady_rate([sent(1), sent(11)], until=10) == 0
