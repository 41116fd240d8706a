"""Many callers in every dialect against services that are killed, frozen and replaced.

    python -m tests.reliability.history --seed 1 --count 1000000

Three processes behind a real HAProxy and a real nginx, both without retries, serve 64 callers,
a tenth of whose requests are reset at a random byte, sent or read slowly. Meanwhile a process is
killed with SIGKILL, ended with SIGTERM or frozen for 5 s, one after the other. The checker
compares every score with one that was computed without the service, and calls an exchange right,
refused (as documented), explained by a fault, the caller's own doing, wrong, or lost.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests import models
from tests.reliability.history.callers import Caller
from tests.reliability.history.checker import Checker, Faults, Report
from tests.reliability.history.fleet import Fleet, missing_balancers, open_fleet
from tests.reliability.history.truth import Truth

QUERIES, TEXTS = 48, 400
RUDENESS = 0.1
PROGRESS_SECONDS = 10.0
QUIET_SECONDS = 30.0
AT_REST = ("rerankd_requests_in_flight", "rerankd_queue_tokens")


@dataclass(frozen=True)
class Plan:
    seed: int
    pairs: int
    seconds: float
    callers: int = 64
    processes: int = 3
    pause: float = 6.0  # seconds between faults
    app: Path | None = None  # another copy of `app` to serve: a mutant


async def run(plan: Plan, folder: Path, *, show: bool = False) -> tuple[Report, str]:
    truth = Truth.compute(models.bert(folder / "model"), QUERIES, TEXTS, plan.seed)
    faults = Faults()
    checker = Checker(truth, faults)
    started = time.monotonic()
    async with open_fleet(folder, settings(plan, folder), faults, plan.processes) as fleet:
        opened = time.monotonic()

        def ended() -> bool:
            over = time.monotonic() - opened > plan.seconds
            return over or checker.report.pairs >= plan.pairs

        callers = [
            Caller(truth, fleet.ports, f"{plan.seed} {n}", checker.judge, rudeness=RUDENESS)
            for n in range(plan.callers)
        ]
        disturbing = asyncio.create_task(
            fleet.disturb(random.Random(plan.seed), plan.pause), name="faults"
        )
        progress = asyncio.create_task(tell_progress(checker, started)) if show else None
        try:
            await asyncio.gather(*(caller.call_until(ended) for caller in callers))
        finally:
            for task in filter(None, (disturbing, progress)):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        await fleet.settle()
        await check_rest(fleet, checker.report)
    return checker.report, result_line(plan, checker, fleet, truth, time.monotonic() - opened)


def settings(plan: Plan, folder: Path) -> dict[str, str]:
    """Half of the pairs are computed and half come from the cache: both paths are compared."""
    path = os.pathsep.join(str(part) for part in (plan.app, Path.cwd()) if part)
    return {
        "PYTHONPATH": path,
        "RERANKD_MODEL": str(folder / "model"),
        "RERANKD_ENGINE": "torch",
        "RERANKD_DEVICE": "cpu",
        "RERANKD_THREADS": "1",
        "RERANKD_CACHE_MB": "1",
        "RERANKD_CACHE_TTL_SECONDS": "2",
        "RERANKD_MAX_QUEUE_TOKENS": "60000",
        "RERANKD_LOG_LEVEL": "warning",
        "RERANKD_DRAIN_SECONDS": "20",
        "OMP_NUM_THREADS": "1",
    }


async def check_rest(fleet: Fleet, report: Report) -> None:
    """With no callers left, nothing is under way in any process."""
    for process in fleet.processes:
        deadline = time.monotonic() + QUIET_SECONDS
        await process.ready()
        while True:
            gauges = await process.gauges()
            left = {name: gauges[name] for name in AT_REST if gauges[name] > (name == AT_REST[0])}
            if not left:
                break
            if time.monotonic() > deadline:
                report.verdicts["wrong"] += 1
                report.defects.append(f"{process.name} is not at rest: {left}")
                break
            await asyncio.sleep(0.2)


async def tell_progress(checker: Checker, started: float) -> None:
    while True:
        await asyncio.sleep(PROGRESS_SECONDS)
        counts = ", ".join(f"{name} {n}" for name, n in sorted(checker.report.verdicts.items()))
        seconds = time.monotonic() - started
        print(f"{seconds:.0f} s: {checker.report.pairs} pairs right; {counts}", flush=True)


def result_line(plan: Plan, checker: Checker, fleet: Fleet, truth: Truth, seconds: float) -> str:
    report = checker.report
    counts = ", ".join(f"{report.verdicts[name]} {name}" for name in sorted(report.verdicts))
    faults = ", ".join(f"{count} {name}" for name, count in fleet.counts.items())
    return (
        f"history: seed {plan.seed}, {report.pairs} pairs in {seconds:.0f} s, "
        f"{plan.processes} processes, {plan.callers} callers; requests: {counts}; "
        f"faults: {faults}; a score of another pair would pass with chance "
        f"{truth.confusable():.4f}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1_000_000, help="pairs that are compared")
    parser.add_argument("--seconds", type=float, default=7200)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--app", type=Path, help="a folder that holds another copy of app/")
    options = parser.parse_args()
    if missing := missing_balancers():
        print(f"not installed: {', '.join(missing)} (on Debian: apt-get install haproxy nginx)")
        return 2
    plan = Plan(options.seed, options.count, options.seconds, options.callers, app=options.app)
    with tempfile.TemporaryDirectory() as folder:
        report, line = asyncio.run(run(plan, Path(folder), show=True))
    print(line)
    for defect in report.defects[:20]:
        print(f"DEFECT (seed {plan.seed}): {defect}")
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
