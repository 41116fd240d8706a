"""From logits and labels to a curve."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from app.evaluation.data.judged import Judged
from app.evaluation.fitting import IN_PASSING, Labelled, Method, apply, collect, fit, fit_isotonic
from app.evaluation.measures.reliability import Bin, bins_of, calibration_error
from app.evaluation.problems import NotMeasurable
from app.evaluation.reports.pictures import draw_reliability
from app.evaluation.scoring import Answer
from app.rerank.calibration import Isotonic, Platt
from app.rerank.query import UNSCORED, probability


def made_up(queries: int = 60, seed: int = 0) -> Labelled:
    """Pairs whose chance of being relevant is the sigmoid of half the logit, less two."""
    draw = np.random.default_rng(seed)
    owners = np.repeat(np.arange(queries), 20)
    logits = draw.normal(1, 3, len(owners))
    chances = apply(lambda logit: probability(0.5 * logit - 2), logits)
    return Labelled(logits, draw.random(len(owners)) < chances, owners)


def lopsided(queries: int) -> Labelled:
    """Six queries of eight pairs each, of which only the first few have any that are relevant."""
    owners = np.repeat(np.arange(6), 8)
    labels = (owners < queries) & (np.arange(48) % 8 < 6)
    return Labelled(labels + np.random.default_rng(0).normal(0, 0.6, 48), labels, owners)


def turned(labelled: Labelled) -> Labelled:
    """What was relevant is not."""
    return replace(labelled, logits=-labelled.logits, labels=~labelled.labels)


@pytest.mark.parametrize("method", ["platt", "isotonic", None])
def test_the_error_on_unseen_queries_is_more_than_halved(method: Method | None) -> None:
    fitted = fit(made_up(), method, "m", seed=0).calibration
    assert fitted.error_before > 0.3
    assert fitted.error_after < fitted.error_before / 5
    assert (fitted.model, fitted.queries, fitted.pairs) == ("m", 60, 1200)


def test_platt_finds_the_curve_that_made_the_data() -> None:
    fitted = fit(made_up(400), "platt", "m", seed=0).calibration
    assert isinstance(fitted, Platt)
    assert (fitted.slope, fitted.intercept) == pytest.approx((0.5, -2), abs=0.1)


def test_a_query_is_never_judged_by_a_fit_that_saw_it() -> None:
    """Where labels are noise that only memory could explain, the error must not look small."""
    draw = np.random.default_rng(1)
    owners = np.repeat(np.arange(40), 2)
    labelled = Labelled(draw.normal(0, 1, 80), draw.random(80) < 0.5, owners)
    seen = fit_isotonic(labelled, IN_PASSING)
    fitted = fit(labelled, "isotonic", "m", seed=0)
    assert fitted.calibration.error_after > calibration_error(
        apply(seen, labelled.logits), labelled.labels
    )


def test_the_curve_served_is_the_curve_of_scikit_learn() -> None:
    labelled = made_up()
    ours = fit_isotonic(labelled, IN_PASSING)
    theirs = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
    theirs.fit(labelled.logits, labelled.labels)
    probes = np.linspace(-20, 20, 500)
    assert apply(ours, probes) == pytest.approx(theirs.predict(probes), abs=1e-6)


def test_the_same_seed_gives_the_same_file() -> None:
    assert fit(made_up(), None, "m", 3).calibration == fit(made_up(), None, "m", 3).calibration


@pytest.mark.parametrize(
    ("labelled", "says"),
    [
        (made_up(3), "3 queries have candidates; 5 are needed"),
        (Labelled(np.zeros(9), np.zeros(9, dtype=bool), np.arange(9)), "0 of 9 candidates"),
        (Labelled(np.zeros(9), np.ones(9, dtype=bool), np.arange(9)), "9 of 9 candidates"),
        (lopsided(1), "candidates that are relevant belong to one query; two queries are needed"),
        (turned(lopsided(1)), "candidates that are not relevant belong to one query"),
    ],
)
def test_data_that_says_too_little_is_refused(labelled: Labelled, says: str) -> None:
    with pytest.raises(NotMeasurable, match=says):
        fit(labelled, None, "m", seed=0)


@pytest.mark.parametrize("method", ["platt", None])
def test_a_model_that_ranks_the_wrong_way_round_cannot_be_calibrated(method: Method | None) -> None:
    data = made_up()
    backwards = replace(data, logits=-data.logits)
    with pytest.raises(NotMeasurable, match="not score relevant candidates higher"):
        fit(backwards, method, "m", seed=0)


@pytest.mark.parametrize("method", ["platt", "isotonic", None])
@pytest.mark.parametrize("labelled", [lopsided(2), turned(lopsided(2))])
@pytest.mark.parametrize("seed", [0, 5, 12])  # two would deal both queries into one fold
def test_each_fold_is_left_with_both_kinds_wherever_they_are_few(
    labelled: Labelled, method: Method | None, seed: int
) -> None:
    assert fit(labelled, method, "m", seed).calibration.queries == 6


def test_a_curve_that_some_folds_cannot_bear_is_left_out() -> None:
    """One query ranks so well that all do, taken together; the others alone do not."""
    owners = np.repeat(np.arange(10), 20)
    labels = np.arange(200) % 2 == 0
    logits = np.where(labels, 1.0, -1.0) * np.where(owners == 0, 5, -0.1)
    labelled = Labelled(logits, labels, owners)
    with pytest.raises(NotMeasurable, match="not score relevant candidates higher"):
        fit(labelled, "platt", "m", seed=0)
    assert isinstance(fit(labelled, None, "m", seed=0).calibration, Isotonic)
    with pytest.raises(NotMeasurable, match="not score relevant candidates higher"):
        fit(replace(labelled, logits=-logits), None, "m", seed=0)


def test_pairs_without_a_score_are_left_out() -> None:
    judged = Judged("x", {"q": "q", "r": "r"}, {}, {"q": {"a": 1, "c": 0}, "r": {"a": 1}})
    orders = {"q": ["a", "b", "c"], "r": []}
    labelled = collect(judged, orders, {"q": Answer([1.5, UNSCORED, -1], 0.1)})
    assert labelled.logits.tolist() == [1.5, -1]
    assert labelled.labels.tolist() == [True, False]
    assert labelled.queries == 1


def test_queries_that_ask_the_same_are_one_to_the_folds() -> None:
    judged = Judged("x", {"q": "Who?", "r": "why", "s": " who? "}, {}, {})
    orders = {query: ["a"] for query in judged.queries}
    labelled = collect(judged, orders, dict.fromkeys(orders, Answer([1.5], 0.1)))
    assert labelled.owners.tolist() == [0, 1, 0]


def test_the_expected_calibration_error_is_the_mean_distance_of_said_and_so() -> None:
    predicted = np.array([0.1, 0.1, 0.9, 0.9, 1.0])
    observed = np.array([False, False, True, False, True])
    assert bins_of(predicted, observed, 2) == [Bin(0.1, 0.0, 2), Bin(2.8 / 3, 2 / 3, 3)]
    assert calibration_error(predicted, observed, 2) == pytest.approx((0.2 + 0.8) / 5)


def test_the_picture_is_a_png() -> None:
    assert draw_reliability({"one": [Bin(0.1, 0.2, 3), Bin(0, 0, 0)]}).startswith(b"\x89PNG")
