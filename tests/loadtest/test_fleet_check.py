"""The check of the simulation against real processes, and proof that it can fail."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from itertools import chain

import pytest

from loadtest.fleet import check, measuring, reality, sleeping_engine
from loadtest.fleet.check import QUICK, Case, Comparison, Observed, compare, judge
from loadtest.fleet.outcome import Outcome
from loadtest.fleet.policies import LEAST_OUTSTANDING, RANDOM
from loadtest.fleet.service_times import ServiceTimes
from loadtest.fleet.simulation import Settings, simulate
from loadtest.fleet.sleeping_engine import SleepingEngine, WordEncoder, environment, times_of
from loadtest.fleet.work import Work
from loadtest.workload import SHORT, Texts

CASE = Case(2, RANDOM, 0.7)
OUTCOME = Outcome(0.1, 1.0, 0.5, 0.7, 0.1, 0.0, 100, {})


@pytest.fixture(scope="module")
def observed() -> Observed:
    """Three real processes behind a real HAProxy."""
    if not reality.is_installed():
        sentence = "not installed: haproxy (on Debian: apt-get install haproxy)"
        pytest.fail(sentence) if os.environ.get("CI") else pytest.skip(sentence)
    # A program that takes the processors for a moment moves a figure or two, and then one of three
    # runs is quiet; service times that are wrong move more than a third of the figures each time.
    for _ in range(3):
        observed, comparisons = check.run(QUICK, ServiceTimes.read())
        assert len(comparisons) == len(QUICK.cases) * len(check.FLOORS)
        if sum(not each.agrees for each in comparisons) <= len(comparisons) / 5:
            return observed
    pytest.fail(str(check.tabulate(comparisons)))


def test_real_processes_behave_as_simulated(observed: Observed) -> None:
    """The fixture compares them."""
    answered = [each.status for each in chain(*observed.by_case.values())].count(200)
    assert answered > 150


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_simulation_with_wrong_service_times_is_noticed(
    observed: Observed, factor: float
) -> None:
    comparisons = judge(QUICK, observed, observed.times.scaled(factor))
    wrong = [each for each in comparisons if not each.agrees]
    assert len(wrong) > len(comparisons) / 3, str(check.tabulate(comparisons))


def test_another_policy_is_noticed() -> None:
    """Requests that chance has sent are not those of a balancer that knows who is busy."""
    times = ServiceTimes.read().scaled(check.FASTER)
    plan = replace(check.FULL, seconds=15.0, simulations=4)
    case = Case(3, LEAST_OUTSTANDING, 0.7)
    arrivals = check.traffic_of(case, plan, times).arrivals
    settings = Settings(plan.timeout, network=0.0, lateness=check.LATENESS)
    for policy, agrees in ((LEAST_OUTSTANDING, True), (RANDOM, False)):
        exchanges = simulate(times, settings, policy, case.replicas, arrivals, "real")
        comparisons = judge(plan, Observed(times, times, {case: exchanges}), times)
        assert all(each.agrees for each in comparisons) == agrees, comparisons


@pytest.mark.parametrize(
    ("measure", "value"),
    [("p50", 0.2), ("p99", 1.3), ("goodput", 0.5), ("refused", 0.3), ("failed", 0.1)],
)
def test_each_measure_alone_can_fail(measure: str, value: float) -> None:
    simulated = [OUTCOME, OUTCOME._replace(p50=0.11)]
    assert all(each.agrees for each in compare(CASE, OUTCOME, simulated))
    real = Outcome(**{**OUTCOME._asdict(), measure: value})
    assert [each.measure for each in compare(CASE, real, simulated) if not each.agrees] == [measure]


def test_a_figure_may_leave_the_range_by_the_tolerance_and_the_floor() -> None:
    low, high = 1.0 * 0.85 - 0.02, 2.0 * 1.15 + 0.02
    for real, agrees in ((low - 1e-6, False), (low, True), (high, True), (high + 1e-6, False)):
        assert Comparison(CASE, "p99", real, 1.0, 2.0).agrees == agrees


def test_a_replica_that_answers_nothing_does_not_agree() -> None:
    nothing = float("inf")
    silent = Outcome(
        nothing, nothing, nothing, 0.0, refused=0.5, failed=0.5, requests=9, statuses={}
    )
    assert not any(each.agrees for each in compare(CASE, silent, [OUTCOME]))


def test_the_picture_and_the_table_show_each_comparison() -> None:
    comparisons = compare(CASE, OUTCOME._replace(p99=3.0), [OUTCOME])
    table = check.tabulate(comparisons)
    assert [row[-1] for row in table.rows] == ["yes", "NO", "yes", "yes", "yes", "yes"]
    assert len(check.draw(comparisons).axes) == len(check.FLOORS)


def test_the_full_check_has_every_policy_with_two_and_three_processes() -> None:
    cases = {(case.replicas, case.load) for case in check.FULL.cases}
    assert cases == {(count, load) for count in (1, 2, 3) for load in (0.7, 1.2)}
    assert len(check.FULL.cases) == 2 * (1 + 4 + 4)


def test_the_engine_sleeps_what_the_model_says() -> None:
    times = times_of(environment(ServiceTimes(0.002, 0.00001)))
    engine = SleepingEngine(times)
    pairs = Work.of(Texts(SHORT, 1).request(5)).pairs
    started = time.perf_counter()
    scores = engine.score(pairs)
    assert time.perf_counter() - started >= times.batch(pairs) > 0.002
    assert len(scores) == 5


def test_the_encoder_counts_words_as_the_simulation_does() -> None:
    request = Texts(SHORT, 2).request(4)
    encoder = WordEncoder()
    items = encoder.encode(request.query, request.documents, instruction=None, cut="right")
    assert [item.pair for item in items] == list(Work.of(request).pairs)
    assert [item.whole for item in items] == [item.pair.tokens for item in items]


def test_a_text_is_cut_to_what_the_encoder_takes() -> None:
    (item,) = WordEncoder().encode("a b", ["w " * 600], instruction=None, cut="right")
    assert (item.pair.tokens, item.whole, item.document, item.kept) == (512, 605, 600, 507)


def test_the_environment_names_both_parts() -> None:
    assert set(environment(ServiceTimes(1.0, 2.0))) == {
        sleeping_engine.PER_BATCH,
        sleeping_engine.PER_TOKEN,
    }


def test_the_error_of_a_fit_is_a_share() -> None:
    times = ServiceTimes(0.0, 0.001)
    assert measuring.error_of(times, [100, 100, 100], [0.1, 0.125, 0.08]) == pytest.approx(0.2)
