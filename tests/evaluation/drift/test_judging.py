"""The verdict: false alarms are as rare as promised, and real changes are seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from app.evaluation.drift.judging import (
    EXIT_CODES,
    Finding,
    Limits,
    State,
    holm,
    jensen_shannon,
    judge,
    overall,
)
from app.evaluation.drift.period import Judgement, Period, Request
from app.evaluation.drift.quantity import (
    MAX_EDGES,
    Pair,
    Quantity,
    cut_points,
    of_feedback,
    quantities_of,
)
from app.evaluation.measures.clusters import MIN_CLUSTERS, Clusters
from tests.evaluation.drift.records import HOUR, MONDAY

# Enough for a verdict; more only make p finer.
ROUNDS = 400
STRICT = Limits(alpha=0.1, shift=1e-9, share=1e-9, loss=1e-9)


def period(
    generator: np.random.Generator,
    hours: int,
    *,
    mean: float = 0.0,
    of_hour: float = 0.5,
    traffic: float = 20,
    unknown: float = 0.1,
) -> Period:
    """Requests whose scores depend on the hour, as when a topic is popular for a while."""
    made = Period()
    for hour in range(hours):
        shift = generator.normal(mean, of_hour)
        odds = unknown * np.exp(generator.normal(0, of_hour))
        for _ in range(1 + generator.poisson(traffic)):
            top, gap = 1 / (1 + np.exp(-generator.normal([shift, shift - 1], 1)))
            outcome = "not_found" if generator.random() < odds else "answered"
            time = MONDAY + hour * HOUR
            made.take(Request(time, "/answer", "m", float(top), abs(top - gap), 20, outcome))
    return made


def judgements(
    generator: np.random.Generator, count: int, *, first: float, useful: float = 0.8
) -> list[Judgement]:
    """The share `first` has the relevant document at the top, the others have it anywhere below.

    Every third question is asked three times, and is easy or hard each time.
    """
    made = []
    for number in range(count):
        easy = generator.random() < first
        for _ in range(3 if number % 3 == 0 else 1):
            rank = 0 if easy else int(generator.integers(1, 8))
            order = [f"d{position}" for position in range(1, 9)]
            order.insert(rank, "d0")
            good = bool(generator.random() < useful)
            made.append(Judgement(MONDAY, f"q{number}", good, "answered", ["d0"], order))
    return made


def false_alarms(limits: Limits, runs: int, traffic: tuple[float, float], block: float) -> int:
    alarms = 0
    for run in range(runs):
        generator = np.random.default_rng([run, 1])
        before, after = (period(generator, 24, traffic=each) for each in traffic)
        findings = judge(quantities_of(before, after, block, 10), limits, run, ROUNDS)
        alarms += overall(findings) in ("shifted", "worse", "better")
    return alarms


@pytest.mark.parametrize("traffic", [(6, 6), (3, 15)], ids=["equal traffic", "five times as much"])
def test_equal_periods_are_called_different_as_rarely_as_alpha_says(
    traffic: tuple[float, float],
) -> None:
    """Three quantities together, without a limit on what matters. In longer simulations 7 to 15 of
    100 were; more than 20 of 100 are no chance."""
    assert false_alarms(STRICT, 100, traffic, HOUR) <= 20


def test_blocks_are_what_keeps_false_alarms_rare() -> None:
    """With each request on its own, hours that differ look like a change of the period."""
    alarms = 0
    for run in range(40):
        generator = np.random.default_rng([run, 1])
        pairs = []
        for _ in range(2):
            values = period(generator, 24, of_hour=1, traffic=15).tops.values[:, None]
            pairs.append(Clusters.of(values, np.arange(len(values))))
        single = Quantity("top_score", "", "loss", "block", Pair(*pairs), judges=True)
        alarms += overall(judge([single], STRICT, run, ROUNDS)) != "too_little_data"
    assert alarms >= 12


@pytest.mark.parametrize("count", [MIN_CLUSTERS, 60])
def test_equal_quality_is_called_better_or_worse_as_rarely_as_alpha_says(count: int) -> None:
    alarms = 0
    for run in range(100):
        generator = np.random.default_rng([run, 1])
        before, after = (judgements(generator, count, first=0.7) for _ in range(2))
        alarms += overall(judge(of_feedback(before, after, 10), STRICT, run, ROUNDS)) in (
            "better",
            "worse",
        )
    assert alarms <= 20


def test_a_shift_of_the_scores_is_seen() -> None:
    generator = np.random.default_rng(1)
    before, after = (period(generator, 72, mean=mean) for mean in (0.0, -0.8))
    findings = judge(quantities_of(before, after, HOUR, 10), Limits(), 0)
    states = {finding.quantity.name: finding.state for finding in findings}
    assert states["top_score"] == overall(findings) == "shifted"
    assert findings[0].size == pytest.approx(0.3, abs=0.08)


def test_equal_weeks_are_steady() -> None:
    generator = np.random.default_rng(2)
    before, after = (period(generator, 168) for _ in range(2))
    findings = judge(quantities_of(before, after, HOUR, 10), Limits(), 0)
    assert {finding.quantity.name: finding.state for finding in findings} == {
        "top_score": "steady",
        "score_gap": "steady",
        "not_known": "steady",
    }


def test_a_change_that_does_not_matter_is_steady_however_certain() -> None:
    generator = np.random.default_rng(3)
    before, after = (period(generator, 168, mean=mean, of_hour=0.05) for mean in (0, -0.12))
    top = judge(quantities_of(before, after, HOUR, 10), Limits(), 0)[0]
    assert top.p < 0.01
    assert (top.state, top.size < 0.1) == ("steady", True)
    small = Limits(shift=top.size * 0.9)
    assert judge(quantities_of(before, after, HOUR, 10), small, 0)[0].state == "shifted"


def test_few_requests_are_too_little_data_and_not_steady() -> None:
    generator = np.random.default_rng(4)
    before, after = (period(generator, 24, traffic=0.5) for _ in range(2))
    findings = judge(quantities_of(before, after, HOUR, 10), Limits(), 0)
    assert findings[0].change is not None
    assert findings[0].change.chance > 0.1
    assert overall(findings) == "too_little_data"


def test_few_blocks_are_too_little_data_however_many_requests() -> None:
    generator = np.random.default_rng(5)
    before, after = (period(generator, hours, traffic=200) for hours in (MIN_CLUSTERS - 1, 30))
    findings = judge(quantities_of(before, after, HOUR, 10), Limits(), 0)
    assert {finding.state for finding in findings} == {"too_little_data"}
    assert all(finding.change is None for finding in findings)


def test_answers_that_do_not_know_more_often_are_a_shift() -> None:
    generator = np.random.default_rng(6)
    before, after = (period(generator, 96, unknown=share) for share in (0.05, 0.25))
    findings = judge(quantities_of(before, after, HOUR, 10), Limits(), 0)
    states = {finding.quantity.name: finding.state for finding in findings}
    assert states == {"top_score": "steady", "score_gap": "steady", "not_known": "shifted"}


@pytest.mark.parametrize(
    ("first", "state", "code"), [((0.9, 0.5), "worse", 4), ((0.5, 0.9), "better", 0)]
)
def test_ndcg_that_falls_is_worse_and_that_rises_is_better(
    first: tuple[float, float], state: State, code: int
) -> None:
    generator = np.random.default_rng(7)
    before, after = (judgements(generator, 120, first=share) for share in first)
    findings = judge(of_feedback(before, after, 10), Limits(), 0)
    names = [finding.quantity.name for finding in findings]
    assert names == ["useful", "nDCG@10", "MRR@10"]
    assert findings[1].state == overall(findings) == state
    assert EXIT_CODES[state] == code


def test_fewer_useful_answers_are_worse() -> None:
    generator = np.random.default_rng(8)
    before, after = (judgements(generator, 150, first=0.7, useful=share) for share in (0.9, 0.6))
    assert judge(of_feedback(before, after, 10), Limits(), 0)[0].state == "worse"


def test_verdicts_on_one_question_are_one_question() -> None:
    generator = np.random.default_rng(9)
    often = [each._replace(question="the same") for each in judgements(generator, 60, first=0.5)]
    useful, ndcg, _ = judge(of_feedback(often, often, 10), Limits(), 0)
    assert useful.quantity.means.before.count == ndcg.quantity.means.before.count == 1
    assert useful.state == ndcg.state == "too_little_data"


def test_only_verdicts_that_name_a_ranked_document_count_for_ndcg() -> None:
    generator = np.random.default_rng(10)
    side = judgements(generator, 30, first=1.0)
    useless = [each._replace(relevant=[], question="x") for each in side[:5]]
    old = [each._replace(order=None, question="y") for each in side[:5]]
    useful, ndcg, mrr = of_feedback([*side, *useless, *old], side, 10)
    assert useful.means.before.count == 32
    assert ndcg.means.before.count == 30
    assert ndcg.means.before.means == mrr.means.before.means == 1
    assert mrr.decides is False


def test_periods_without_any_record_are_too_little_data() -> None:
    findings = judge(quantities_of(Period(), Period(), HOUR, 10), Limits(), 0)
    assert [finding.quantity.name for finding in findings] == ["top_score", "score_gap"]
    assert overall(findings) == "too_little_data"
    assert overall([]) == "too_little_data"


def test_a_period_without_verdicts_is_too_little_data_for_quality() -> None:
    side = judgements(np.random.default_rng(11), 30, first=0.5)
    assert {each.state for each in judge(of_feedback(side, [], 10), Limits(), 0)} == {
        "too_little_data"
    }


def test_the_worst_state_is_the_verdict() -> None:
    quantity = of_feedback([], [], 10)[0]

    class Fixed(Finding):
        @property
        def state(self) -> State:
            return self.fixed

        fixed: State = "steady"

    def verdict(*states: State) -> State:
        findings: list[Finding] = []
        for state in states:
            kind = type("Fixed", (Fixed,), {"fixed": state})
            findings.append(kind(quantity, 0.1))
        return overall(findings)

    assert verdict("steady", "too_little_data") == "steady"
    assert verdict("better", "steady") == "better"
    assert verdict("better", "shifted") == "shifted"
    assert verdict("worse", "shifted", "better") == "worse"


@pytest.mark.parametrize(
    ("values", "adjusted"),
    [
        ([], []),
        ([0.02], [0.02]),
        ([0.01, 0.04], [0.02, 0.04]),
        ([0.9, 0.02, 0.4], [0.9, 0.06, 0.8]),
    ],
)
def test_p_is_adjusted_for_the_number_of_tests(
    values: Sequence[float], adjusted: Sequence[float]
) -> None:
    assert holm(values) == pytest.approx(adjusted)


def test_the_distance_of_distributions_is_0_for_the_same_and_1_for_disjoint_ones() -> None:
    same = np.linspace(0.05, 1, 20)
    low, high = np.minimum(1, 2 * same), np.maximum(0, 2 * same - 1)
    assert jensen_shannon(same, same) == 0
    assert jensen_shannon(low, high) == pytest.approx(1)
    assert 0.3 < jensen_shannon(low, same) < 0.7
    assert jensen_shannon(low, same) == jensen_shannon(same, low)


def test_many_values_are_compared_at_a_limited_number_of_points() -> None:
    few, many = np.array([0.5, 0.1, 0.5]), np.random.default_rng(0).random(5000)
    assert cut_points(few).tolist() == [0.1, 0.5]
    edges = cut_points(many)
    assert len(edges) == MAX_EDGES
    assert (edges[0], edges[-1]) == (many.min(), many.max())
    assert set(edges) <= set(many)
