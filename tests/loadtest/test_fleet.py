"""The simulation of many replicas: against theory where there is one, and its rules elsewhere."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import mean

import pytest

from app.engines import Pair
from loadtest.fleet import picture, sweep
from loadtest.fleet.outcome import Exchange, summarize
from loadtest.fleet.policies import LEAST_OUTSTANDING, POLICIES, RANDOM, ROUND_ROBIN, TWO_CHOICES
from loadtest.fleet.service_times import MEASURED, ServiceTimes, fit_line
from loadtest.fleet.simulation import Settings, simulate
from loadtest.fleet.sweep import Cell, Plan
from loadtest.fleet.work import POOL, Arrival, Work, arrivals, capacity, pair_of, pool
from loadtest.workload import DOCUMENTS, LARGE, SHORT, Texts

TIMES = ServiceTimes(per_batch=0.002, per_token=0.0001, per_request=0.001, per_document=0.0001)
PLAIN = Settings(timeout=60, network=0.0, jitter=0.0)
LENGTH = 100  # tokens of a pair, where each batch is one pair
ONE_PAIR = ServiceTimes(per_batch=0.0, per_token=0.01 / LENGTH, max_batch_tokens=LENGTH)
SECONDS = 0.01  # that such a batch takes


def single_pairs(rate: float, count: int, seed: int) -> Iterator[Arrival]:
    """A Poisson process of requests of one pair."""
    chance, due = random.Random(seed), 0.0
    for _ in range(count):
        due += chance.expovariate(rate)
        yield Arrival(due, Work([pair_of(LENGTH)], LENGTH, 1))


def mean_wait(policy: str, replicas: int, load: float, count: int = 3_000) -> float:
    """Of a request before its batch, in units of the time of a batch."""
    traffic = single_pairs(load * replicas / SECONDS, count, seed=1)
    exchanges = simulate(ONE_PAIR, PLAIN, policy, replicas, traffic)
    return mean(each.ended - each.due - SECONDS for each in exchanges) / SECONDS


def in_theory(load: float) -> float:
    """M/D/1: Poisson arrivals, a fixed time for each, one after the other."""
    return load / (2 * (1 - load))


@pytest.mark.parametrize("load", [0.4, 0.7])
def test_one_replica_waits_as_queueing_theory_says(load: float) -> None:
    assert mean_wait(RANDOM, 1, load) == pytest.approx(in_theory(load), rel=0.12)


def test_a_random_choice_makes_each_replica_a_queue_of_its_own() -> None:
    """A Poisson process that is split by chance is a Poisson process at each replica."""
    assert mean_wait(RANDOM, 5, 0.7, 5_000) == pytest.approx(in_theory(0.7), rel=0.12)


def test_each_policy_that_knows_more_waits_less() -> None:
    waits = {policy: mean_wait(policy, 10, 0.7, 2_000) for policy in POLICIES}
    assert waits[RANDOM] > waits[TWO_CHOICES] > waits[LEAST_OUTSTANDING]
    assert waits[ROUND_ROBIN] < waits[RANDOM]
    assert waits[LEAST_OUTSTANDING] < waits[RANDOM] / 4


def test_an_idle_replica_answers_in_the_time_of_its_parts() -> None:
    settings = replace(PLAIN, network=0.0005)
    work = Work([pair_of(50)] * 4, 200, 50)
    (exchange,) = simulate(TIMES, settings, RANDOM, 1, [Arrival(3.0, work)])
    assert exchange.due == 3.0
    assert exchange.ended - 3.0 == pytest.approx(0.001 + 0.001 + 4 * 0.0001 + 0.002 + 0.02)
    assert (exchange.status, exchange.documents) == (200, 4)


def overloaded(timeout: float, seconds: float = 40.0, **changes: int) -> list[Exchange]:
    each = capacity(TIMES)
    settings = Settings(timeout, **changes)
    traffic = arrivals(1.2 * 2 * each, seconds, seed="overload")
    return simulate(TIMES, settings, LEAST_OUTSTANDING, 2, traffic)


def test_overload_is_refused_instead_of_queued_without_bound() -> None:
    exchanges = overloaded(timeout=3.0)
    outcome = summarize(exchanges, 15.0, 40.0, 2 * capacity(TIMES))
    assert 0.5 < outcome.goodput <= 1.05
    assert set(outcome.statuses) <= {"200", "429", "504"}
    unanswered = [each for each in exchanges if each.status != 200]
    assert sum(each.documents for each in unanswered) > 0.15 * sum(
        each.documents for each in exchanges
    )
    assert max(each.ended - each.due for each in exchanges) < 3.1


def test_nearly_all_requests_that_are_admitted_under_overload_are_answered() -> None:
    """Large ones too, although small ones that come later are due earlier."""
    outcome = summarize(overloaded(5.0, seconds=100.0), 15.0, 100.0, 2 * capacity(TIMES))
    assert outcome.failed < 0.01 < outcome.refused
    assert outcome.goodput > 0.84


def test_a_refusal_takes_no_time_of_the_engine() -> None:
    refused = [each for each in overloaded(timeout=3.0) if each.status == 429]
    assert refused
    assert max(each.ended - each.due for each in refused) < 0.1


def test_a_full_queue_refuses_too() -> None:
    statuses = {each.status for each in overloaded(60.0, max_queue_tokens=30_000)}
    assert statuses == {200, 429}


def test_every_request_ends_and_the_same_seed_gives_the_same_run() -> None:
    def run(seed: str) -> list[Exchange]:
        traffic = arrivals(0.9 * 3 * capacity(TIMES), 10.0, seed="same")
        return simulate(TIMES, Settings(2.0), TWO_CHOICES, 3, traffic, seed)

    expected = len(list(arrivals(0.9 * 3 * capacity(TIMES), 10.0, seed="same")))
    assert len(run("a")) == expected
    assert run("a") == run("a") != run("b")


def test_the_arrivals_offer_the_load_that_they_should() -> None:
    traffic = list(arrivals(1_000.0, 60.0, seed="x"))
    pairs = sum(len(each.work.pairs) for each in traffic)
    assert pairs / 60 == pytest.approx(1_000, rel=0.02)
    assert [each.due for each in traffic] == sorted(each.due for each in traffic)
    assert traffic[-1].due <= 60


def test_turns_do_not_give_a_replica_the_same_request_again_and_again() -> None:
    """With as many replicas as requests of the pool, a fixed order would."""
    works = [each.work for each in islice(arrivals(1e6, 100.0, seed="x"), 5 * POOL)]
    turns = [works[turn::POOL] for turn in range(POOL)]
    large = [sum(len(work.pairs) == DOCUMENTS[LARGE] for work in turn) for turn in turns]
    assert large.count(5) < 5
    assert mean(large) == pytest.approx(0.5)


def test_a_request_is_as_the_reranker_sees_it() -> None:
    request = Texts(SHORT, 1).request(3)
    work = Work.of(request)
    assert [pair.tokens for pair in work.pairs] == [
        3 + len(request.query.split()) + len(text.split()) for text in request.documents
    ]
    tokens = sum(pair.tokens for pair in work.pairs)
    assert work.at_least < tokens < work.estimate


def test_the_capacity_is_that_of_batches_of_the_real_scheduler() -> None:
    tokens = [sum(pair.tokens for pair in work.pairs) for work in pool()]
    pairs = sum(len(work.pairs) for work in pool())
    without_fixed_part = pairs / (sum(tokens) * TIMES.per_token)
    assert capacity(replace(TIMES, per_batch=0.0)) == pytest.approx(without_fixed_part)
    assert capacity(TIMES) < without_fixed_part
    assert capacity(TIMES.scaled(2)) == pytest.approx(capacity(TIMES) / 2)


def test_a_fixed_part_and_a_slope_are_recovered_and_never_negative() -> None:
    amounts = range(100, 1_000, 50)
    seconds = [0.003 + amount * 0.0001 for amount in amounts]
    assert fit_line(amounts, seconds) == pytest.approx((0.003, 0.0001))
    fixed, slope = fit_line([100, 200], [0.009, 0.021])
    assert fixed == 0
    assert 0.00009 < slope < 0.000105


def test_the_measured_times_say_where_they_come_from(tmp_path: Path) -> None:
    times = ServiceTimes.read(MEASURED)
    assert times.source["machine"]["cpu"]
    assert times.source["machine"]["date"]
    assert times.source["threads"] == 1
    assert times.source["median_error"] < 0.1
    assert 10 < capacity(times) < 10_000
    times.write(tmp_path / "again.json")
    assert ServiceTimes.read(tmp_path / "again.json") == times


def test_only_requests_and_answers_of_the_measured_time_count() -> None:
    exchanges = [
        Exchange(0.5, 1.5, 200, 10),  # due before
        Exchange(1.0, 1.2, 200, 10),
        Exchange(1.5, 1.9, 200, 200),
        Exchange(1.6, 1.6, 429, 10),
        Exchange(1.7, 3.0, 504, 10),
        Exchange(1.8, 2.5, 200, 10),
        Exchange(2.0, 2.5, 200, 10),  # due after
    ]
    outcome = summarize(exchanges, 1.0, 2.0, capacity=220.0)
    assert outcome.requests == 5
    assert outcome.goodput == pytest.approx(1.0)
    assert (outcome.refused, outcome.failed) == pytest.approx((0.2, 0.2))
    assert outcome.p50 == pytest.approx(0.4)
    assert outcome.small_p99 == pytest.approx(0.7, abs=0.01)
    assert outcome.statuses == {"200": 3, "429": 1, "504": 1}


def test_without_an_answer_the_latency_is_infinite() -> None:
    outcome = summarize([Exchange(1.0, 1.0, 429, 10)], 0.0, 2.0, capacity=10.0)
    assert outcome.p99 == float("inf")
    assert (outcome.goodput, outcome.refused) == (0, 1)


def test_the_sweep_has_each_policy_at_each_size_and_one_alone_for_one_replica() -> None:
    plan = Plan((1, 2), (0.5, 1.2), timeout=1.0, warm_up=1.0, seconds=2.0, requests=20)
    cells = list(sweep.cells_of(plan))
    assert len(cells) == len(set(cells)) == 2 * (1 + len(POLICIES))
    rows = [sweep.simulate_cell(cell, plan, TIMES) for cell in cells]
    assert [row.cell for row in rows] == cells
    requests = {(row.cell.load, row.cell.replicas): row.outcome.requests for row in rows}
    for row in rows:  # the same arrivals for all policies
        assert row.outcome.requests == requests[row.cell.load, row.cell.replicas]
    table = picture.tabulate(rows)
    assert len(table.rows) == len(rows)
    assert "two choices" in str(table)
    assert len(picture.draw(rows).axes) == 4


def test_a_sweep_in_several_processes_is_the_same() -> None:
    plan = Plan((2,), (0.7,), timeout=1.0, warm_up=1.0, seconds=2.0, requests=20)
    (row, *_) = sweep.sweep(plan, TIMES, processes=2)
    assert row.cell == Cell(0.7, 2, RANDOM)
    assert row.outcome == sweep.simulate_cell(row.cell, plan, TIMES).outcome


def test_pairs_of_one_length_are_one_object() -> None:
    assert pair_of(80) is pair_of(80)
    assert isinstance(pair_of(9_999), Pair)
    assert pair_of(9_999).tokens == 512
