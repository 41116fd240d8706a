"""Small and large requests mixed, arriving when they like: what does each size wait?

    python -m loadtest.mixed --quick

An open loop: nine of ten requests have 10 documents, one has 200, at several shares of the measured
capacity. The same arrivals are put to the service and to the same service first come first served.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from matplotlib.figure import Figure

from app.evaluation.scoring import Latency
from loadtest import report, service
from loadtest.report import Table
from loadtest.service import Server
from loadtest.traffic import Sent, answered, closed_loop, open_loop, poisson_arrivals, steady_rate
from loadtest.wire import Client
from loadtest.workload import (
    DOCUMENTS,
    MEAN_DOCUMENTS,
    ONE_IN,
    SHORT,
    SMALL,
    Texts,
    mixture,
    sizes,
)

OURS = "ours"
FIFO = "first come"
CALLERS = 8  # while the capacity is measured


@dataclass(frozen=True, slots=True)
class Plan:
    capacity_seconds: float
    seconds: float  # of each load
    loads: tuple[float, ...]


FULL = Plan(capacity_seconds=15, seconds=45, loads=(0.3, 0.5, 0.7, 0.85))
QUICK = Plan(capacity_seconds=5, seconds=10, loads=(0.5, 0.7))


@dataclass(frozen=True, slots=True)
class Row:
    load: float
    order: str
    size: str
    requests: int
    failed: int
    latency: Latency | None  # milliseconds; None without a single answer


async def capacity(url: str, seconds: float) -> float:
    """Pairs a second of the same mix, with callers enough to keep the queue full."""
    async with Client(url) as client:
        sent = await closed_loop(client, mixture(seed=0), CALLERS, seconds)
    return steady_rate(sent, max(exchange.ended for exchange in sent))


async def offer(url: str, pairs_per_second: float, seconds: float, seed: int) -> list[Sent]:
    chance, texts = random.Random(seed), Texts(SHORT, seed)
    count = max(ONE_IN, round(pairs_per_second / MEAN_DOCUMENTS * seconds))
    requests = [texts.request(DOCUMENTS[size]) for size in sizes(count, chance)]
    async with Client(url) as client:
        return await open_loop(client, requests, poisson_arrivals(count, seconds, chance))


def rows_of(load: float, order: str, sent: Sequence[Sent]) -> list[Row]:
    rows = []
    for size, documents in DOCUMENTS.items():
        these = [exchange for exchange in sent if exchange.documents == documents]
        done = [exchange.seconds for exchange in answered(these)]
        latency = Latency.of(done) if done else None
        rows.append(Row(load, order, size, len(these), len(these) - len(done), latency))
    return rows


def measure(urls: Mapping[str, str], plan: Plan) -> tuple[float, list[Row]]:
    full = asyncio.run(capacity(urls[OURS], plan.capacity_seconds))
    report.tell(f"capacity {full:.0f} pairs/s")
    rows, turns = list[Row](), list(urls.items())
    for seed, load in enumerate(plan.loads, start=1):
        for order, url in turns:
            sent = asyncio.run(offer(url, load * full, plan.seconds, seed))
            rows += rows_of(load, order, sent)
            report.tell(f"{load:.0%}: {order} has had its turn")
        turns.reverse()
    return full, rows


def tabulate(rows: Sequence[Row]) -> Table:
    headings = ["load", "size", "order", "requests", "failed", "p50 ms", "p95 ms", "p99 ms"]
    by_size = sorted(rows, key=lambda row: (row.load, row.size != SMALL, row.order == FIFO))
    cells = []
    for row in by_size:
        latency = row.latency
        times = (latency.p50, latency.p95, latency.p99) if latency else ()
        figures = [f"{time:.0f}" for time in times] or ["-"] * 3
        labels = [f"{row.load:.0%}", row.size, row.order, str(row.requests), str(row.failed)]
        cells.append([*labels, *figures, against_fifo(row, rows)])
    return Table([*headings, "p95 to first come"], cells)


def against_fifo(row: Row, rows: Sequence[Row]) -> str:
    (other,) = (
        other
        for other in rows
        if (other.load, other.size, other.order) == (row.load, row.size, FIFO)
    )
    if row.order == FIFO or row.latency is None or other.latency is None:
        return "-"
    return f"{row.latency.p95 / other.latency.p95:.2f}"


def draw(rows: Sequence[Row]) -> Figure:
    figure, panels = report.panels(len(DOCUMENTS))
    for panel, (size, documents) in zip(panels, DOCUMENTS.items(), strict=True):
        for color, order in enumerate((OURS, FIFO)):
            line = [row for row in rows if (row.size, row.order) == (size, order) and row.latency]
            loads = [row.load * 100 for row in line]
            for share, style in (("p50", "o--"), ("p95", "o-")):
                times = [getattr(row.latency, share) / 1000 for row in line]
                panel.plot(loads, times, style, color=f"C{color}", label=f"{order}, {share}")
        panel.set_title(f"{size}: {documents} documents")
        panel.set_xlabel("load, % of capacity")
        panel.set_ylabel("seconds")
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=8)
    return figure


def main() -> None:
    options = report.flags(__doc__).parse_args()
    plan = QUICK if options.quick else FULL
    with ExitStack() as stack:
        servers: dict[str, Server] = {
            OURS: stack.enter_context(service.rerankd()),
            FIFO: stack.enter_context(service.rerankd(program="loadtest.fifo")),
        }
        for server in servers.values():
            server.wait_until_ready()
        served = service.info(servers[OURS].url)
        full, rows = measure({order: server.url for order, server in servers.items()}, plan)
    results = {"plan": plan, "service": served, "capacity_pairs_per_second": full, "rows": rows}
    report.publish("mixed", options, results, tabulate(rows), draw(rows))


if __name__ == "__main__":
    main()
