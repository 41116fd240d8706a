"""How many pairs a second does `rerankd batch` make, compared with the service's peak?

    python -m loadtest.bulk --quick
    python -m loadtest.bulk --candidates --quick

Both have the same engine and take turns. The service is asked by 8 callers with 32 documents each,
in a closed loop; it is stopped while a file of the same kind of rows is ranked. The starts of both
are not measured.

Both keep what the lower layers of the bundled model make of documents, in 128 MiB. With
--candidates, the documents are drawn from a corpus of 5,000, and the file is one block; --quick has
an eighth of all three.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.figure import Figure

from app.bulk.scan import BLOCK_PAIRS
from loadtest import report, service
from loadtest.bulk_rows import CandidateRows, FreshRows, Rows
from loadtest.report import Table
from loadtest.service import Server
from loadtest.traffic import answered, closed_loop, steady_rate
from loadtest.turns import Ratio, Turn, take_turns
from loadtest.wire import Client

CALLERS = 8
QUICK_SHARE = 8
CORPUS = 5_000
SERVICE, BATCH = "service", "batch"
BEGINS, ENDS = "pairs to rank", " pairs/s, padding "


@dataclass(frozen=True, slots=True)
class Plan:
    rounds: int
    seconds: float  # of the service
    pairs: int  # of the file
    state_cache_mb: int = 128
    corpus: int = 0  # documents; 0: none

    def rows(self, seed: int) -> Rows:
        return CandidateRows(self.corpus, seed) if self.corpus else FreshRows(seed)


FULL = Plan(rounds=4, seconds=60, pairs=16_384)
QUICK = Plan(rounds=2, seconds=10, pairs=1_024)


def with_candidates(plan: Plan, block_pairs: int, share: int = 1) -> Plan:
    """The file is one block; all sizes are divided by `share`."""
    return replace(
        plan,
        pairs=block_pairs // share,
        state_cache_mb=plan.state_cache_mb // share,
        corpus=CORPUS // share,
    )


def serve(server: Server, number: int, plan: Plan) -> Turn:
    rows = plan.rows(10 + number)

    async def ask() -> Turn:
        async with Client(server.url) as client:
            cpu, started = server.cpu_seconds(), time.perf_counter()
            sent = await closed_loop(client, rows.request, CALLERS, plan.seconds)
            pairs = sum(exchange.documents for exchange in answered(sent))
            cpu, wall = server.cpu_seconds() - cpu, time.perf_counter() - started
            return Turn(steady_rate(sent, wall), pairs / cpu)

    return asyncio.run(ask())


def rank_file(folder: Path, number: int, plan: Plan, flags: Sequence[str] = ()) -> Turn:
    """Measured from the line that says how much there is to the line that says how fast it was."""
    source, *own = plan.rows(10 + number).write(folder, plan.pairs)
    out = str(folder / f"{number}")
    command = [sys.executable, "-m", "app.cli", "batch", source, out, *own, *flags]
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


def flags() -> argparse.ArgumentParser:
    parser = report.flags(__doc__)
    parser.add_argument(
        "--candidates", action="store_true", help="rows whose documents come again in other rows"
    )
    parser.add_argument(
        "--block-pairs",
        type=int,
        default=BLOCK_PAIRS,
        help=f"pairs of the block, with --candidates [{BLOCK_PAIRS}]",
    )
    return parser


def main() -> None:
    options = flags().parse_args()
    plan = QUICK if options.quick else FULL
    if options.candidates:
        plan = with_candidates(plan, options.block_pairs, QUICK_SHARE if options.quick else 1)
    os.environ.setdefault("RERANKD_DEVICE", "cpu")
    os.environ["RERANKD_STATE_CACHE_MB"] = str(plan.state_cache_mb)
    with service.rerankd(state_cache_mb=plan.state_cache_mb) as server:
        server.wait_until_ready()
        results = measure(server, plan) | {"plan": plan, "service": service.info(server.url)}
    report.publish("bulk", options, results, tabulate(results), draw(results))


if __name__ == "__main__":
    main()
