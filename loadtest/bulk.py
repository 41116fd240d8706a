"""How many pairs a second does `rerankd batch` make, compared with the service's peak?

    python -m loadtest.bulk --quick

Both have the same engine and take turns. The service is asked by 8 callers with 32 documents each,
in a closed loop; it is stopped while a file of the same kind of rows is ranked. The starts of both
are not measured.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.figure import Figure

from loadtest import report, service
from loadtest.report import Table
from loadtest.service import Server
from loadtest.traffic import answered, closed_loop, steady_rate
from loadtest.turns import Ratio, Turn, take_turns
from loadtest.wire import Client
from loadtest.workload import SHORT, Texts

CALLERS = 8
DOCUMENTS = 32
SERVICE, BATCH = "service", "batch"
BEGINS, ENDS = "pairs to rank", " pairs/s, padding "


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int
    seconds: float  # of the service
    pairs: int  # of the file


FULL = Plan(rounds=4, seconds=60, pairs=16_384)
QUICK = Plan(rounds=2, seconds=10, pairs=1_024)


def serve(server: Server, number: int, plan: Plan) -> Turn:
    texts = Texts(SHORT, seed=10 + number)

    async def ask() -> Turn:
        async with Client(server.url) as client:
            cpu, started = server.cpu_seconds(), time.perf_counter()
            sent = await closed_loop(
                client, lambda: texts.request(DOCUMENTS), CALLERS, plan.seconds
            )
            pairs = sum(exchange.documents for exchange in answered(sent))
            cpu, wall = server.cpu_seconds() - cpu, time.perf_counter() - started
            return Turn(steady_rate(sent, wall), pairs / cpu)

    return asyncio.run(ask())


def write_rows(path: Path, pairs: int, seed: int) -> None:
    texts = Texts(SHORT, seed)
    with path.open("w") as stream:
        for _ in range(pairs // DOCUMENTS):
            request = texts.request(DOCUMENTS)
            row = {"query": request.query, "documents": request.documents}
            stream.write(f"{json.dumps(row)}\n")


def rank_file(folder: Path, number: int, plan: Plan, flags: Sequence[str] = ()) -> Turn:
    """Measured from the line that says how much there is to the line that says how fast it was."""
    source, out = folder / f"{number}.jsonl", folder / f"{number}"
    write_rows(source, plan.pairs, seed=10 + number)
    command = [sys.executable, "-m", "app.cli", "batch", str(source), str(out), *flags]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        process_of_batch = Server(BATCH, "", "", process, None)
        marks = [
            (time.perf_counter(), process_of_batch.cpu_seconds())
            for line in process.stderr
            if BEGINS in line.decode() or ENDS in line.decode()
        ]
    if process.returncode or len(marks) != 2:
        raise SystemExit(f"rerankd batch ended with {process.returncode}: no figure is right")
    (began, cpu_before), (ended, cpu) = marks
    return Turn(plan.pairs / (ended - began), plan.pairs / (cpu - cpu_before))


def measure(server: Server, plan: Plan, flags: Sequence[str] = ()) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="rerankd-bulk-") as folder:

        def batch(number: int) -> Turn:
            server.pause()
            try:
                turn = rank_file(Path(folder), number, plan, flags)
            finally:
                server.resume()
            report.tell(f"round {number + 1}: batch {turn.pairs_per_second:.0f} pairs/s")
            return turn

        turns = take_turns(
            {SERVICE: lambda number: serve(server, number, plan), BATCH: batch}, plan.rounds
        )
    rates, by_core = (
        {name: [turn[index] for turn in each] for name, each in turns.items()} for index in (0, 1)
    )
    return {
        "pairs_per_second": rates,
        "pairs_per_core_second": by_core,
        "ratio": Ratio.of(rates[BATCH], rates[SERVICE]),
        "ratio_by_core": Ratio.of(by_core[BATCH], by_core[SERVICE]),
    }


def tabulate(results: dict[str, Any]) -> Table:
    rates, by_core = results["pairs_per_second"], results["pairs_per_core_second"]
    rows = [
        [name, f"{median(rates[name]):.0f}", f"{median(by_core[name]):.0f}"]
        for name in (SERVICE, BATCH)
    ]
    rows.append(["batch to service", str(results["ratio"]), str(results["ratio_by_core"])])
    return Table(["bulk", "pairs/s", "pairs/core-s"], rows)


def draw(results: dict[str, Any]) -> Figure:
    figure, axes = report.panels(2)
    for axis, name in zip(axes, ("pairs_per_second", "pairs_per_core_second"), strict=True):
        values = results[name]
        axis.bar(list(values), [median(each) for each in values.values()])
        axis.set_ylabel(name.replace("_", " "))
    return figure


def main() -> None:
    options = report.flags(__doc__).parse_args()
    plan = QUICK if options.quick else FULL
    os.environ.setdefault("RERANKD_DEVICE", "cpu")
    with service.rerankd() as server:
        server.wait_until_ready()
        results = measure(server, plan) | {"plan": plan, "service": service.info(server.url)}
    report.publish("bulk", options, results, tabulate(results), draw(results))


if __name__ == "__main__":
    main()
