"""Ten times as much as it can do: does the service keep answering, and refuse the rest at once?

    python -m loadtest.overload --quick

The peak is measured first with callers that wait, then ten times as much is offered in an open
loop. Every score that is given is compared with the one that was given on the idle service.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from pydantic_core import from_json

from app.evaluation.scoring import Latency
from loadtest import report, service
from loadtest.report import Table
from loadtest.traffic import (
    PATH,
    Sent,
    answered,
    closed_loop,
    open_loop,
    poisson_arrivals,
    steady_rate,
)
from loadtest.wire import Client, ServerFailed
from loadtest.workload import SHORT, Request, Texts

CALLERS = 8
REFUSED = 429
QUEUE_TOKENS = "20000"  # a few seconds of work; the default would take minutes to fill
TOLERANCE = 0.02  # of a probability: the same pair in another batch, in eight bits
SAMPLE_SECONDS = 0.5
SETTLE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    times: float  # the peak
    peak_seconds: float
    seconds: float
    documents: int
    pool: int  # requests, whose scores are taken one at a time before


FULL = Plan(times=10, peak_seconds=20, seconds=90, documents=32, pool=40)
QUICK = Plan(times=10, peak_seconds=6, seconds=12, documents=32, pool=8)


@dataclass
class Outcome:
    peak: float  # pairs a second
    offered: float
    goodput: float
    sent: list[Sent]
    off_by: list[float]  # each answer, of a probability
    tolerance: float
    client_cores: float  # of a processor, while ten times the peak was offered
    memory: list[tuple[float, float]] = field(default_factory=list)  # seconds, MiB

    def latency(self, status: int) -> Latency | None:
        seconds = [exchange.seconds for exchange in self.sent if exchange.status == status]
        return Latency.of(seconds) if seconds else None

    @property
    def wrong(self) -> int:
        return sum(difference > self.tolerance for difference in self.off_by)

    @property
    def broken(self) -> int:
        return sum(exchange.status not in (200, REFUSED) for exchange in self.sent)


def scores_of(body: bytes) -> list[float]:
    """In the order of the documents."""
    results = sorted(from_json(body)["results"], key=lambda result: result["index"])
    return [result["relevance_score"] for result in results]


async def known_scores(client: Client, pool: Sequence[Request]) -> dict[Request, list[float]]:
    scores = {}
    for request in pool:
        answer = await client.post(PATH, request.body)
        if answer.status != 200:
            raise ServerFailed(f"status {answer.status} on an idle server")
        scores[request] = scores_of(answer.body)
    return scores


def off_by(sent: Sequence[Sent], truth: dict[Request, list[float]]) -> list[float]:
    """The largest difference of each answer from the one that the idle server gave."""
    return [
        float(np.abs(np.subtract(scores_of(exchange.body), truth[exchange.request])).max())
        for exchange in answered(sent)
    ]


async def watch_memory(url: str, samples: list[tuple[float, float]]) -> None:
    """What the service says of itself, until cancelled."""
    started = time.perf_counter()
    async with Client(url) as client:
        while True:
            metrics = service.metrics((await client.get("/metrics")).body.decode())
            now = time.perf_counter() - started
            samples.append((now, metrics["process_resident_memory_bytes"] / 2**20))
            await asyncio.sleep(SAMPLE_SECONDS)


async def run(url: str, plan: Plan, tolerance: float = TOLERANCE) -> Outcome:
    texts = Texts(SHORT, seed=1)
    pool = [texts.request(plan.documents) for _ in range(plan.pool)]
    async with Client(url) as client:
        truth = await known_scores(client, pool)
        again = itertools.cycle(pool)
        before = await closed_loop(client, lambda: next(again), CALLERS, plan.peak_seconds)
        peak = steady_rate(before, plan.peak_seconds)
        if not peak:
            raise SystemExit("fewer than two answers while the peak was measured: too slow")
        report.tell(f"peak {peak:.0f} pairs/s")
        count = round(plan.times * peak / plan.documents * plan.seconds)
        requests = list(itertools.islice(again, count))
        arrivals = poisson_arrivals(count, plan.seconds, random.Random(1))
        memory: list[tuple[float, float]] = []
        watching = asyncio.create_task(watch_memory(url, memory))
        cpu, wall = time.process_time(), time.perf_counter()
        sent = await open_loop(client, requests, arrivals)
        client_cores = (time.process_time() - cpu) / (time.perf_counter() - wall)
        await asyncio.sleep(SETTLE_SECONDS)
        if not watching.cancel():  # it had ended, so it failed
            watching.result()
    return Outcome(
        peak=peak,
        offered=count * plan.documents / plan.seconds,
        goodput=steady_rate(sent, plan.seconds),
        sent=sent,
        off_by=off_by([*before, *sent], truth),
        tolerance=tolerance,
        client_cores=client_cores,
        memory=memory,
    )


def summary(outcome: Outcome) -> dict[str, Any]:
    memory = [mib for _, mib in outcome.memory]
    return {
        "peak_pairs_per_second": outcome.peak,
        "offered_pairs_per_second": outcome.offered,
        "goodput_pairs_per_second": outcome.goodput,
        "goodput_of_peak": outcome.goodput / outcome.peak,
        "requests": len(outcome.sent),
        "answered": len(answered(outcome.sent)),
        "refused": sum(exchange.status == REFUSED for exchange in outcome.sent),
        "broken": outcome.broken,
        "by_status": Counter(str(exchange.status) for exchange in outcome.sent),
        "wrong": outcome.wrong,
        "off_by": max(outcome.off_by),
        "answer_ms": outcome.latency(200),
        "refusal_ms": outcome.latency(REFUSED),
        "memory_first_mib": memory[0],
        "memory_most_mib": max(memory),
        "memory_last_mib": memory[-1],
        "client_cores": outcome.client_cores,
    }


def tabulate(figures: dict[str, Any]) -> Table:
    def milliseconds(latency: Latency | None) -> str:
        return f"{latency.p50:.0f} / {latency.p99:.0f}" if latency else "-"

    rows = [
        ["peak, pairs/s", f"{figures['peak_pairs_per_second']:.0f}"],
        ["offered, pairs/s", f"{figures['offered_pairs_per_second']:.0f}"],
        ["goodput, pairs/s", f"{figures['goodput_pairs_per_second']:.0f}"],
        ["goodput, share of peak", f"{figures['goodput_of_peak']:.0%}"],
        ["requests answered / refused", f"{figures['answered']} / {figures['refused']}"],
        ["neither answered nor refused", str(figures["broken"])],
        ["wrong answers", str(figures["wrong"])],
        ["scores off by at most", f"{figures['off_by']:.4f}"],
        ["answer p50 / p99, ms", milliseconds(figures["answer_ms"])],
        ["refusal p50 / p99, ms", milliseconds(figures["refusal_ms"])],
        [
            "memory before / most / after, MiB",
            " / ".join(
                f"{figures[f'memory_{when}_mib']:.0f}" for when in ("first", "most", "last")
            ),
        ],
        ["client's own use, cores", f"{figures['client_cores']:.2f}"],
    ]
    return Table(["overload", "figure"], rows)


def draw(outcome: Outcome) -> Figure:
    figure, (left, right) = report.panels(2)
    for status, name in ((200, "answered"), (REFUSED, "refused")):
        ended = [exchange.ended for exchange in outcome.sent if exchange.status == status]
        left.hist(ended, bins=40, histtype="step", label=name)
    left.set_xlabel("seconds")
    left.set_ylabel("requests")
    left.legend()
    right.plot(*zip(*outcome.memory, strict=True))
    right.set_ylim(0, 1.3 * max(mib for _, mib in outcome.memory))
    right.set_xlabel("seconds")
    right.set_ylabel("memory, MiB")
    return figure


def main() -> None:
    parser = report.flags(__doc__)
    parser.add_argument("--tolerance", type=float, default=TOLERANCE, help="of a probability")
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    queue = os.environ.get("RERANKD_MAX_QUEUE_TOKENS", QUEUE_TOKENS)
    with service.rerankd(max_queue_tokens=queue) as server:
        server.wait_until_ready()
        served = service.info(server.url)
        outcome = asyncio.run(run(server.url, plan, options.tolerance))
    figures = summary(outcome)
    results = {"plan": plan, "service": served, **figures, "memory_mib": outcome.memory}
    report.publish("overload", options, results, tabulate(figures), draw(outcome))


if __name__ == "__main__":
    main()
