"""The bootstrap of clusters against results that are known otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from app.evaluation.measures import clusters
from app.evaluation.measures.clusters import Clusters, compare


def sample(generator: np.random.Generator, count: int, mean: float) -> Clusters:
    return Clusters.of(generator.normal(mean, 1, (count, 1)), np.arange(count))


def test_members_with_the_same_label_are_added_up() -> None:
    values = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    made = Clusters.of(values, [7, 3, 7])
    assert made.sums.tolist() == [[3, 4], [6, 8]]
    assert made.sizes.tolist() == [1, 2]
    assert (made.count, made.members, made.means.tolist()) == (2, 3, [3, 4])


def test_nothing_is_no_cluster() -> None:
    made = Clusters.of(np.zeros((0, 2)), [])
    assert (made.count, made.members, made.sums.shape) == (0, 0, (0, 2))


def test_clusters_without_members_are_dropped() -> None:
    made = Clusters(np.array([[1.0], [0.0], [2.0]]), np.array([2.0, 0.0, 3.0])).filled()
    assert (made.sums.tolist(), made.sizes.tolist()) == ([[1], [2]], [2, 3])


def test_the_interval_of_independent_members_is_that_of_the_textbook() -> None:
    generator = np.random.default_rng(0)
    before, after = sample(generator, 200, 0), sample(generator, 450, 0.5)
    change = compare(before, after, alpha=0.05, seed=1, rounds=3000)
    half = 1.96 * np.sqrt(
        before.sums.var(ddof=1) / before.count + after.sums.var(ddof=1) / after.count
    )
    difference = float(change.differences[0])
    assert change.low == pytest.approx(difference - half, abs=0.02)
    assert change.high == pytest.approx(difference + half, abs=0.02)
    assert change.chance == pytest.approx(half, abs=0.02)
    assert change.p < 0.01


def test_the_same_sample_twice_is_no_change() -> None:
    same = sample(np.random.default_rng(0), 20, 0)
    change = compare(same, same, alpha=0.05, seed=1, rounds=200)
    assert (change.p, change.differences.tolist()) == (1, [0])


def test_a_difference_without_any_noise_is_certain() -> None:
    before, after = (Clusters(np.full((20, 1), level), np.ones(20)) for level in (0.5, 0.6))
    change = compare(before, after, alpha=0.05, seed=1, rounds=200)
    assert change.p == 1 / 201
    assert (change.low, change.high) == pytest.approx((0.1, 0.1))


def test_the_largest_of_several_differences_is_tested() -> None:
    generator = np.random.default_rng(3)
    before = Clusters(generator.normal(0, 1, (60, 3)), np.ones(60))
    after = Clusters(generator.normal([0, -2, 0.5], 1, (60, 3)), np.ones(60))
    change = compare(before, after, alpha=0.05, seed=1, rounds=400)
    assert change.largest == 1
    alone = compare(
        Clusters(before.sums[:, :1], before.sizes),
        Clusters(after.sums[:, :1], after.sizes),
        alpha=0.05,
        seed=1,
        rounds=400,
    )
    assert change.chance > alone.chance


def test_the_same_seed_gives_the_same_figures_however_many_draws_fit_into_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = np.random.default_rng(4)
    before, after = sample(generator, 50, 0), sample(generator, 50, 0)
    first = compare(before, after, alpha=0.05, seed=5, rounds=300)
    monkeypatch.setattr(clusters, "MAX_WEIGHTS", 1000)
    again = compare(before, after, alpha=0.05, seed=5, rounds=300)
    assert (first.p, first.chance) == pytest.approx((again.p, again.chance))
    assert compare(before, after, alpha=0.05, seed=6, rounds=300).chance != first.chance
