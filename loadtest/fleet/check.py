"""Is the simulation right? The same requests to real processes behind a real HAProxy."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from matplotlib.figure import Figure

from loadtest import report
from loadtest.fleet import measuring, reality
from loadtest.fleet.outcome import Exchange, Outcome, summarize
from loadtest.fleet.policies import LEAST_OUTSTANDING, POLICIES, RANDOM, ROUND_ROBIN, TWO_CHOICES
from loadtest.fleet.service_times import ServiceTimes
from loadtest.fleet.simulation import Settings, simulate
from loadtest.fleet.work import Arrival, Work, capacity
from loadtest.report import Table
from loadtest.traffic import poisson_arrivals
from loadtest.workload import DOCUMENTS, LARGE, MEAN_DOCUMENTS, SHORT, Request, Texts, mixture

FASTER = 0.25  # the engine's time: four times as many requests in the same time
TOLERANCE = 0.15  # beyond the range of the simulations
# Seconds and shares that do not count.
FLOORS = {
    "p50": 0.005,
    "p99": 0.02,
    "small_p99": 0.01,
    "goodput": 0.03,
    "refused": 0.03,
    "failed": 0.03,
}
SIZES, REPEATS = (10, 200), 15  # of the requests by which the time beside the engine is measured
GAP_REQUESTS = 5
LATENESS = 0.002  # of the callers, which share the processors with the processes


@dataclass(frozen=True, slots=True)
class Case:
    replicas: int
    policy: str
    load: float

    def __str__(self) -> str:
        return f"{self.replicas} x {self.policy}, {self.load:.0%}"


@dataclass(frozen=True, slots=True)
class Plan:
    cases: Sequence[Case]
    timeout: float
    warm_up: float
    seconds: float  # after that
    simulations: int  # of each case, with other draws: their range is what is expected


def all_cases() -> Iterator[Case]:
    for load in (0.7, 1.2):
        yield Case(1, ROUND_ROBIN, load)
        for replicas in (2, 3):
            for policy in POLICIES:
                yield Case(replicas, policy, load)


FULL = Plan(tuple(all_cases()), 1.25, 5.0, 25.0, 10)
QUICK = Plan(
    (Case(1, RANDOM, 0.7), Case(3, TWO_CHOICES, 0.7), Case(2, LEAST_OUTSTANDING, 1.2)),
    timeout=1.25,
    warm_up=0.5,
    seconds=2.5,
    simulations=12,
)


@dataclass(frozen=True)
class Traffic:
    requests: Sequence[Request]
    dues: Sequence[float]

    @property
    def arrivals(self) -> list[Arrival]:
        works = map(Work.of, self.requests)
        return [Arrival(due, work) for due, work in zip(self.dues, works, strict=True)]


class Comparison(NamedTuple):
    case: Case
    measure: str
    real: float
    low: float  # of the simulations
    high: float

    @property
    def agrees(self) -> bool:
        floor = FLOORS[self.measure]
        low, high = self.low * (1 - TOLERANCE) - floor, self.high * (1 + TOLERANCE) + floor
        return low <= self.real <= high


def traffic_of(case: Case, plan: Plan, times: ServiceTimes) -> Traffic:
    """The same for all policies."""
    seed, seconds = 1_000 * case.replicas + round(100 * case.load), plan.warm_up + plan.seconds
    rate = case.load * capacity(times) * case.replicas
    count = round(rate / MEAN_DOCUMENTS * seconds)
    requests = list(islice(iter(mixture(seed), None), count))
    for request in requests:
        assert request.body, "encoded before the traffic begins"
    return Traffic(requests, poisson_arrivals(count, seconds, random.Random(seed)))


def summary(
    exchanges: Sequence[Exchange], case: Case, plan: Plan, nominal: ServiceTimes
) -> Outcome:
    end = plan.warm_up + plan.seconds
    return summarize(exchanges, plan.warm_up, end, capacity(nominal) * case.replicas)


def expected(
    case: Case, plan: Plan, times: ServiceTimes, traffic: Traffic
) -> Iterator[list[Exchange]]:
    """By simulations that differ in the draws of the load balancer and in small delays."""
    settings = Settings(plan.timeout, network=0.0, lateness=LATENESS)
    arrivals = traffic.arrivals
    for seed in range(plan.simulations):
        yield simulate(times, settings, case.policy, case.replicas, arrivals, str(seed))


def compare(case: Case, real: Outcome, simulated: Sequence[Outcome]) -> list[Comparison]:
    comparisons = []
    for measure in FLOORS:
        values = [getattr(outcome, measure) for outcome in simulated]
        comparisons.append(
            Comparison(case, measure, getattr(real, measure), min(values), max(values))
        )
    return comparisons


@dataclass(frozen=True)
class Observed:
    """What real processes did with the traffic of each case."""

    nominal: ServiceTimes  # what their engines slept
    times: ServiceTimes  # with what a request takes beside that
    by_case: dict[Case, list[Exchange]]


def observe(plan: Plan, measured: ServiceTimes) -> Observed:
    """The time beside the engine is measured here and now; the engine sleeps what it says."""
    nominal = measured.scaled(FASTER).outside(0.0, 0.0)
    most = max(case.replicas for case in plan.cases)
    by_case: dict[Case, list[Exchange]] = {}
    with (
        TemporaryDirectory() as name,
        reality.replicas(1, nominal.scaled(0), plan.timeout) as idle,
        reality.replicas(most, nominal, plan.timeout) as urls,
    ):
        with reality.balanced(idle, ROUND_ROBIN, Path(name)) as url:
            times = nominal.outside(*measuring.outside_of(url, SIZES, REPEATS))
        with reality.balanced(urls[:1], ROUND_ROBIN, Path(name)) as url:
            times = replace(times, per_batch=times.per_batch + gap_of(url, times))
        tell_about(times, nominal)
        for case in plan.cases:
            traffic = traffic_of(case, plan, nominal)
            with reality.balanced(urls[: case.replicas], case.policy, Path(name)) as url:
                by_case[case] = reality.offer(url, traffic.requests, traffic.dues)
            report.tell(f"{case}: {len(traffic.requests)} requests were sent")
    return Observed(nominal, times, by_case)


def gap_of(url: str, times: ServiceTimes) -> float:
    """Seconds between two batches: how much longer a large request takes than simulated, alone."""
    texts = Texts(SHORT, seed=3)
    requests = [texts.request(DOCUMENTS[LARGE] // 2) for _ in range(GAP_REQUESTS)]
    settings, gaps = Settings(60.0, network=0.0, jitter=0.0), []
    for request, real in zip(requests, asyncio.run(measuring.alone(url, requests)), strict=True):
        work = Work.of(request)
        (exchange,) = simulate(times, settings, RANDOM, 1, [Arrival(0.0, work)])
        batches = sum(pair.tokens for pair in work.pairs) / times.max_batch_tokens
        gaps.append((real - exchange.ended) / batches)
    return max(0.0, median(gaps))


def tell_about(times: ServiceTimes, nominal: ServiceTimes) -> None:
    gap = times.per_batch - nominal.per_batch
    report.tell(
        f"beside the engine: {times.beside(10) * 1000:.1f} ms for 10 documents, "
        f"{gap * 1000:.1f} ms between batches"
    )


def judge(plan: Plan, observed: Observed, times: ServiceTimes) -> list[Comparison]:
    """`times`: what the simulation assumes."""
    comparisons, nominal = list[Comparison](), observed.nominal
    for case, exchanges in observed.by_case.items():
        traffic = traffic_of(case, plan, nominal)
        simulated = expected(case, plan, times, traffic)
        outcomes = [summary(each, case, plan, nominal) for each in simulated]
        comparisons += compare(case, summary(exchanges, case, plan, nominal), outcomes)
    return comparisons


def run(plan: Plan, measured: ServiceTimes) -> tuple[Observed, list[Comparison]]:
    """A case that does not agree is sent once more: a wrong simulation does not agree again.

    Another program that took the processors for a second does not matter then.
    """
    observed = observe(plan, measured)
    comparisons = judge(plan, observed, observed.times)
    disputed = {each.case for each in comparisons if not each.agrees}
    if not disputed:
        return observed, comparisons
    report.tell(f"again: {', '.join(map(str, disputed))}")
    cases = [case for case in plan.cases if case in disputed]
    again = observe(replace(plan, cases=cases), measured)
    settled = [each for each in comparisons if each.case not in disputed]
    return observed, settled + judge(plan, again, again.times)


def tabulate(comparisons: Sequence[Comparison]) -> Table:
    rows = [
        [
            str(each.case),
            each.measure,
            f"{each.real:.3f}",
            f"{each.low:.3f} to {each.high:.3f}",
            "yes" if each.agrees else "NO",
        ]
        for each in comparisons
    ]
    return Table(["replicas, policy, load", "measure", "real", "simulated", "agrees"], rows)


def draw(comparisons: Sequence[Comparison]) -> Figure:
    figure, panels = report.panels(len(FLOORS))
    for panel, measure in zip(panels, FLOORS, strict=True):
        these = [each for each in comparisons if each.measure == measure]
        for position, each in enumerate(these):
            panel.plot([each.low, each.high], [position, position], "C0", linewidth=4, alpha=0.5)
            panel.plot(each.real, position, "C3o")
        panel.set_yticks(range(len(these)), [str(each.case) for each in these], fontsize=7)
        panel.set_title(f"{measure}: real (dot), simulated (bar)")
        panel.set_xlim(left=0)
        panel.invert_yaxis()
    return figure
