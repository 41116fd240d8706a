"""Bootstrap and verdict on data made to be better, equal and worse."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from app.evaluation.data.judged import Judged
from app.evaluation.measures.bootstrap import Difference, difference
from app.evaluation.measures.measures import Values
from app.evaluation.reports.verdict import verdict
from app.evaluation.scoring import Answer
from app.evaluation.study import Study, compare
from app.training.finetune import tuned

DEPTH = 10


def study(places: list[tuple[int, int]]) -> Study:
    """One query for each pair of places, where its only relevant document stood and stands."""
    names = [f"q{n}" for n in range(len(places))]
    corpus = {f"{name}.{n}": f"{name} {n}" for name in names for n in range(DEPTH)}
    orders = {name: [f"{name}.{n}" for n in range(DEPTH)] for name in names}
    grades = {
        name: {f"{name}.{before}": 1} for name, (before, _) in zip(names, places, strict=True)
    }
    answers = {
        name: Answer(moved(before, after), 0.02)
        for name, (before, after) in zip(names, places, strict=True)
    }
    judged = Judged("made", {name: name for name in names}, corpus, grades)
    return compare(judged, orders, answers, model="m", k=DEPTH, initial_k=DEPTH, seed=0)


def moved(before: int, after: int) -> list[float]:
    """Scores that put the document from one place to the other, and keep the rest in order."""
    order = [index for index in range(DEPTH) if index != before]
    order.insert(after, before)
    return [-float(order.index(index)) for index in range(DEPTH)]


def changed(
    gains: Values, seed: int = 0, rounds: int = 10_000, alike: Sequence[int] | None = None
) -> Difference:
    numbers = range(len(gains)) if alike is None else alike
    return difference(np.zeros(len(gains)), gains, numbers, seed, rounds)


def test_better_data_is_called_a_help() -> None:
    made = study([(4, 0), (6, 1), (2, 0), (3, 3)] * 20)
    change = made.differences["nDCG@10"]
    assert 0 < change.low < change.mean < change.high
    assert verdict(made).startswith("Reranking with m helps on made: nDCG@10 goes from 0.")
    assert "80 queries" in verdict(made)
    assert verdict(made).endswith("and it costs 20 ms per query (p95 20 ms).")


def test_worse_data_is_called_a_hurt() -> None:
    made = study([(0, 4), (1, 6), (0, 2), (3, 3)] * 20)
    change = made.differences["nDCG@10"]
    assert change.low < change.mean < change.high < 0
    assert verdict(made).startswith("Reranking with m hurts on made")
    assert len(made.worse) == 60


def test_gains_and_losses_that_cancel_make_no_measurable_difference() -> None:
    made = study([(0, 2), (2, 0), (1, 5), (5, 1)] * 20)
    change = made.differences["nDCG@10"]
    assert change.low < 0 < change.high
    assert verdict(made).startswith("Reranking with m makes no measurable difference on made")


def test_an_order_that_did_not_change_makes_no_measurable_difference() -> None:
    made = study([(3, 3)] * 40)
    assert made.differences["nDCG@10"] == (0, 0, 0, 40)
    assert made.worse == []
    assert "no measurable difference" in verdict(made)


def test_few_queries_are_said_to_be_few() -> None:
    assert verdict(study([(4, 0)] * 29)).endswith(
        "; 29 different queries are few, so measure again with more."
    )
    assert "1 different query is few" in verdict(study([(4, 0)]))
    assert "few" not in verdict(study([(4, 0)] * 30))


def test_fewer_than_six_queries_prove_nothing_however_they_agree() -> None:
    assert "no measurable difference" in verdict(study([(4, 0)] * 5))
    assert "helps" in verdict(study([(4, 0)] * 6))
    assert "hurts" in verdict(study([(0, 4)] * 6))


def test_fine_tuning_is_judged_with_the_same_caution() -> None:
    before, after = study([(4, 4)] * 2), study([(4, 0)] * 2)
    few = "; 2 different queries are few, so measure again with more."
    verdict = tuned.as_json(before, after, [], seed=0)["verdict"]
    assert verdict.startswith("Fine-tuning makes no measurable difference on made")
    assert verdict.endswith(f"2 queries held out){few}")
    verdict = tuned.as_json(study([(4, 4)] * 30), study([(4, 0)] * 30), [], seed=0)["verdict"]
    assert verdict.startswith("Fine-tuning helps on made")
    assert verdict.endswith("30 queries held out).")


def test_a_question_that_was_asked_often_counts_once_for_chance() -> None:
    """Forty who like one answer say no more than one of them, but weigh as much in the mean."""
    gains = np.array([0.5] * 40 + [-0.1] * 10)
    alike = [0] * 40 + list(range(1, 11))
    change = changed(gains, alike=alike)
    assert change.mean == pytest.approx(gains.mean())
    assert change.questions == 11
    assert not change.certain
    assert changed(gains).certain


def test_the_same_seed_gives_the_same_interval_and_another_nearly_the_same() -> None:
    gains = np.random.default_rng(5).uniform(-1, 1, 200)
    assert changed(gains, 1) == changed(gains, 1) != changed(gains, 2)
    assert changed(gains, 1) == pytest.approx(changed(gains, 2), abs=0.01)


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    generator = np.random.default_rng(7)
    held = 0
    for seed in range(200):
        gains = generator.normal(0.1, 0.5, 80)
        change = changed(gains, seed, rounds=500)
        held += change.low <= 0.1 <= change.high
    assert 180 <= held <= 198


def test_the_interval_agrees_with_the_normal_approximation() -> None:
    gains = np.random.default_rng(3).normal(0.05, 0.3, 400)
    change = changed(gains)
    error = gains.std() / 20
    assert change.low == pytest.approx(gains.mean() - 1.96 * error, abs=0.002)
    assert change.high == pytest.approx(gains.mean() + 1.96 * error, abs=0.002)
