"""Each policy with each number of replicas, at each load: the same arrivals for all policies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from time import process_time

from loadtest import report
from loadtest.fleet.outcome import Outcome, summarize
from loadtest.fleet.policies import POLICIES, RANDOM
from loadtest.fleet.service_times import ServiceTimes
from loadtest.fleet.simulation import Settings, simulate
from loadtest.fleet.work import arrivals, capacity
from loadtest.workload import MEAN_DOCUMENTS


@dataclass(frozen=True, slots=True)
class Plan:
    replicas: Sequence[int]
    loads: Sequence[float]  # of the capacity of all replicas
    timeout: float  # of a request, seconds
    warm_up: float  # seconds that do not count: until an overloaded queue is as long as it gets
    seconds: float  # at least, after that
    requests: int  # at least, after the warm-up

    def measured(self, rate: float) -> float:
        """Seconds, for a rate of so many pairs a second."""
        return max(self.seconds, self.requests * MEAN_DOCUMENTS / rate)


FULL = Plan((1, 2, 3, 10, 30, 100, 300, 1_000), (0.7, 1.2), 5.0, 40.0, 10.0, 6_000)
QUICK = Plan((1, 3, 30), (0.7, 1.2), 5.0, 20.0, 10.0, 1_000)


@dataclass(frozen=True, slots=True)
class Cell:
    load: float
    replicas: int
    policy: str


@dataclass(frozen=True, slots=True)
class Row:
    cell: Cell
    outcome: Outcome
    cpu_seconds: float  # that the simulation took


def cells_of(plan: Plan) -> Iterator[Cell]:
    """The largest first, so that they do not end last. One replica leaves no choice."""
    for count, load, policy in product(sorted(plan.replicas, reverse=True), plan.loads, POLICIES):
        if count > 1 or policy == RANDOM:
            yield Cell(load, count, policy)


def simulate_cell(cell: Cell, plan: Plan, times: ServiceTimes) -> Row:
    started, each = process_time(), capacity(times)
    rate = cell.load * each * cell.replicas
    end = plan.warm_up + plan.measured(rate)
    traffic = arrivals(rate, end, seed=f"{cell.replicas} {cell.load}")
    settings = Settings(plan.timeout)
    exchanges = simulate(times, settings, cell.policy, cell.replicas, traffic)
    outcome = summarize(exchanges, plan.warm_up, end, each * cell.replicas)
    return Row(cell, outcome, process_time() - started)


def sweep(plan: Plan, times: ServiceTimes, processes: int) -> list[Row]:
    cells = list(cells_of(plan))
    with ProcessPoolExecutor(processes) as pool:
        rows = []
        for row in pool.map(simulate_cell, cells, [plan] * len(cells), [times] * len(cells)):
            rows.append(row)
            cell = row.cell
            report.tell(
                f"{cell.replicas} replicas, {cell.load:.0%}, {cell.policy}: "
                f"{row.cpu_seconds:.0f} s of processor time"
            )
    return sorted(rows, key=lambda row: (row.cell.load, row.cell.replicas))
