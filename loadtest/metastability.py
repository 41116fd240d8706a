"""A stall of ten seconds under callers that retry at once: who comes back by itself?

    python -m loadtest.metastability --quick

Each server gets 0.8 of its own peak in an open loop, from users that give an attempt two seconds
and try four times without a pause. In the middle its process is frozen. Afterwards the load is as
before the stall; a server that computes for callers who have gone never gets out of it. Then the
service alone: goodput from 0.5 to 10 times its peak, with callers that honour Retry-After and
callers that do not.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import mean
from typing import Any

from matplotlib.figure import Figure

from loadtest import report, service
from loadtest.peers import OURS, PLAIN, plain
from loadtest.report import Table
from loadtest.retries import HONOURS, NAIVE, Call, Manner, Policy, call_in_open_loop, per_second
from loadtest.service import Server
from loadtest.traffic import closed_loop, poisson_arrivals, steady_rate
from loadtest.weights import minilm
from loadtest.wire import Client
from loadtest.workload import SHORT, Request, Texts

CALLERS = 8
LOAD = 0.8
RECOVERED = 0.9  # of the goodput before the stall
STEADY_SECONDS = 3
QUEUE_TOKENS = 20_000


@dataclass(frozen=True, slots=True)
class Plan:
    peak_seconds: float
    before: float
    stall: float
    after: float
    documents: int
    sweep_seconds: float
    loads: tuple[float, ...]


FULL = Plan(10, 15, 10, 45, 8, 20, (0.5, 0.8, 1.0, 1.5, 2.0, 5.0, 10.0))
QUICK = Plan(3, 5, 4, 10, 8, 4, (0.5, 2.0))


@dataclass(frozen=True, slots=True)
class Stall:
    peak: float  # calls a second
    before: float  # answered calls a second
    goodput: Sequence[int]  # answered calls in each second
    recovery: float | None  # seconds from the end of the stall; None: not in this run
    attempts: float  # of a call, on average


@dataclass(frozen=True, slots=True)
class Load:
    manner: Manner
    times: float  # the peak
    goodput: float  # share of the peak
    answered: float  # share of the calls


def requests_without_end(documents: int, seed: int) -> Callable[[], Request]:
    texts = Texts(SHORT, seed)
    return lambda: texts.request(documents)


async def peak_of(client: Client, plan: Plan) -> float:
    make = requests_without_end(plan.documents, 1)
    sent = await closed_loop(client, make, CALLERS, plan.peak_seconds)
    return steady_rate(sent, plan.peak_seconds) / plan.documents


async def offer(
    client: Client, rate: float, seconds: float, plan: Plan, policy: Policy
) -> list[Call]:
    """Fresh texts, made before, so that the callers are busy with nothing else."""
    make = requests_without_end(plan.documents, 2)
    requests = [make() for _ in range(max(1, round(rate * seconds)))]
    for request in requests:
        assert request.body, "encoded before the traffic begins"
    arrivals = poisson_arrivals(len(requests), seconds, random.Random(3))
    return await call_in_open_loop(client, requests, arrivals, policy)


async def stalled(server: Server, plan: Plan) -> Stall:
    async with Client(server.url) as client:
        peak = await peak_of(client, plan)
        seconds = plan.before + plan.stall + plan.after
        freezing = asyncio.create_task(freeze(server, plan))
        calls = await offer(client, LOAD * peak, seconds, plan, Policy(NAIVE))
        await freezing
    goodput = per_second(calls, seconds)[: int(seconds)]
    before = mean(goodput[1 : int(plan.before)])
    recovery = recovered_after(goodput, before, int(plan.before + plan.stall))
    return Stall(peak, before, goodput, recovery, mean(call.attempts for call in calls))


async def freeze(server: Server, plan: Plan) -> None:
    await asyncio.sleep(plan.before)
    await asyncio.to_thread(server.pause)
    await asyncio.sleep(plan.stall)
    server.resume()


def recovered_after(goodput: Sequence[int], before: float, end: int) -> float | None:
    """Seconds from the end of the stall to the first steady stretch of usual goodput."""
    for start in range(end, len(goodput) - STEADY_SECONDS + 1):
        if mean(goodput[start : start + STEADY_SECONDS]) >= RECOVERED * before:
            return float(start - end)
    return None


async def sweep(server: Server, plan: Plan) -> list[Load]:
    loads: list[Load] = []
    async with Client(server.url) as client:
        peak = await peak_of(client, plan)
        for times, manner in itertools.product(plan.loads, (HONOURS, NAIVE)):
            report.tell(f"{times:g} times the peak, {manner}")
            calls = await offer(client, times * peak, plan.sweep_seconds, plan, Policy(manner))
            good = [call for call in calls if call.answered and call.ended <= plan.sweep_seconds]
            rate = len(good) / plan.sweep_seconds
            answered = sum(call.answered for call in calls) / len(calls)
            loads.append(Load(manner, times, rate / peak, answered))
    return loads


def tabulate(stalls: dict[str, Stall], loads: Sequence[Load]) -> Table:
    rows = [
        [
            f"{name}: back after a stall, s",
            "never" if stall.recovery is None else f"{stall.recovery:.0f}",
        ]
        for name, stall in stalls.items()
    ]
    rows += [
        [f"{load.times:g} x peak, {load.manner}: goodput / peak", f"{load.goodput:.0%}"]
        for load in loads
    ]
    return Table(["metastability", "figure"], rows)


def draw(stalls: dict[str, Stall], loads: Sequence[Load], plan: Plan) -> Figure:
    figure, (left, right) = report.panels(2)
    for name, stall in stalls.items():
        left.plot([count / stall.peak for count in stall.goodput], label=name)
    left.axvspan(plan.before, plan.before + plan.stall, alpha=0.15, label="frozen")
    left.set_xlabel("seconds")
    left.set_ylabel("answered calls, share of the server's own peak")
    left.legend()
    for manner in (HONOURS, NAIVE):
        points = [(load.times, load.goodput) for load in loads if load.manner == manner]
        right.plot(*zip(*points, strict=True), marker="o", label=manner)
    right.set_xlabel("offered calls, times the peak")
    right.set_ylabel("goodput, share of the peak")
    right.set_ylim(0, 1.2)
    right.legend()
    return figure


def run(plan: Plan) -> tuple[dict[str, Stall], list[Load]]:
    model = minilm()
    stalls: dict[str, Stall] = {}
    with service.rerankd(model=model, max_queue_tokens=QUEUE_TOKENS) as server:
        server.wait_until_ready()
        report.tell(OURS)
        stalls[OURS] = asyncio.run(stalled(server, plan))
        loads = asyncio.run(sweep(server, plan))
    with plain(model) as server:
        server.wait_until_ready()
        report.tell(PLAIN)
        stalls[PLAIN] = asyncio.run(stalled(server, plan))
    return stalls, loads


def main() -> None:
    options = report.flags(__doc__).parse_args()
    plan = QUICK if options.quick else FULL
    stalls, loads = run(plan)
    results: dict[str, Any] = {
        "plan": plan,
        "stalls": {name: asdict(stall) for name, stall in stalls.items()},
        "loads": [asdict(load) for load in loads],
    }
    report.publish(
        "metastability", options, results, tabulate(stalls, loads), draw(stalls, loads, plan)
    )


if __name__ == "__main__":
    main()
