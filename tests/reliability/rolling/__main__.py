"""Replaces every process behind load balancers, while callers without retries send requests.

    python -m tests.reliability.rolling --rounds 20

Three processes behind a real HAProxy, nginx and Envoy by the configurations in deploy/, and behind
a balancer of connections as kube-proxy is one. Each round replaces the three one after the other:
SIGTERM, wait for the end, start again, wait until it is ready. Every request has to be answered,
and rightly. Then the same with SIGKILL: only requests that were in flight at that moment may fail,
and the caller's second attempt has to be answered. The balancer of connections takes no part in
that, because it sends new connections to a dead process until it notices.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import models
from tests.reliability.history.callers import Caller
from tests.reliability.history.checker import Checker, Exchange, Faults
from tests.reliability.history.fleet import Process
from tests.reliability.history.truth import Truth
from tests.reliability.rolling.balancers import BALANCERS, Balancer, missing_programs

QUERIES, TEXTS = 24, 200
PAUSE_SECONDS = 0.1  # of a caller between two requests
# Until each load balancer knows that the new process is ready: minReadySeconds of Kubernetes.
SETTLE_SECONDS = 2.0
# As client libraries wait. The kernel needs some time to close the sockets of a killed process.
RETRY_SECONDS = 0.5
LAME_DUCK_SECONDS = 2.0  # twice the interval of the health checks


@dataclass(frozen=True)
class Plan:
    how: signal.Signals
    rounds: int
    callers: int = 32


@dataclass
class Attempts:
    """What became of the requests of all callers through one load balancer."""

    balancer: Balancer
    checker: Checker
    unanswered: int = 0  # also after a second attempt

    @property
    def failed(self) -> int:
        return sum(self.checker.report.verdicts.values()) - self.checker.report.verdicts["right"]

    @property
    def unexplained(self) -> int:
        """Failures of requests that were not in flight when a process was killed."""
        return self.failed - self.checker.report.verdicts["fault"]


class PatientCaller(Caller):
    """Sends one request after the other on a kept connection, and what failed once more."""

    def __init__(self, truth: Truth, port: int, seed: str, attempts: Attempts) -> None:
        super().__init__(truth, [port], seed, self._judge, rudeness=0.0)
        self._port = port
        self._attempts = attempts
        self._answered = False

    async def _call(self) -> None:
        question = self._draw()
        await self._exchange(question, self._port)
        if not self._answered:
            await asyncio.sleep(RETRY_SECONDS)
            await self._exchange(question, self._port)
            self._attempts.unanswered += not self._answered
        await asyncio.sleep(PAUSE_SECONDS)

    def _judge(self, exchange: Exchange) -> None:
        self._answered = exchange.status == 200
        self._attempts.checker.judge(exchange)


@dataclass
class Fleet:
    truth: Truth
    processes: Sequence[Process]
    ports: dict[Balancer, int]

    async def replace_all(
        self, plan: Plan, show: Callable[[int, list[Attempts]], None] = lambda done, attempts: None
    ) -> list[Attempts]:
        """Run the callers for as long as the rounds take."""
        faults = Faults(recovery_seconds=0.0)
        all_attempts = [
            Attempts(balancer, Checker(self.truth, faults))
            for balancer in self.ports
            if balancer.redirects or plan.how == signal.SIGTERM
        ]
        over = asyncio.Event()
        callers = [
            asyncio.create_task(
                PatientCaller(
                    self.truth, self.ports[attempts.balancer], f"{plan.how} {n}", attempts
                ).call_until(over.is_set)
            )
            for n in range(plan.callers // len(all_attempts))
            for attempts in all_attempts
        ]
        try:
            for done in range(plan.rounds):
                show(done, all_attempts)
                for process in self.processes:
                    await self._replace(process, plan.how, faults)
        finally:
            over.set()
            await asyncio.gather(*callers)
        return all_attempts

    async def _replace(self, process: Process, how: signal.Signals, faults: Faults) -> None:
        since = time.monotonic()
        if how == signal.SIGKILL:  # its last connections are lost when the kernel has ended it
            faults.stretches.append((since, float("inf")))
        process.signal(how)
        code = await process.ended()
        if how == signal.SIGKILL:
            faults.stretches[-1] = (since, time.monotonic())
        assert how == signal.SIGKILL or code == 0, process.log()
        process.start()
        await process.ready()
        await asyncio.sleep(SETTLE_SECONDS)


@asynccontextmanager
async def open_fleet(
    folder: Path, balancers: Sequence[Balancer] = BALANCERS, count: int = 3
) -> AsyncIterator[Fleet]:
    truth = Truth.compute(models.bert(folder / "model"), QUERIES, TEXTS, seed=1)
    processes = [Process(f"service{n}", folder, settings(folder)) for n in range(count)]
    with ExitStack() as stack:
        for process in processes:
            stack.callback(process.kill)
            process.start()
            await process.ready()
        services = [process.port for process in processes]
        ports = {
            balancer: stack.enter_context(balancer.running(folder, services))
            for balancer in balancers
        }
        yield Fleet(truth, processes, ports)


def settings(folder: Path) -> dict[str, str]:
    return {
        "RERANKD_MODEL": str(folder / "model"),
        "RERANKD_ENGINE": "onnxruntime",  # starts faster than torch
        "RERANKD_DTYPE": "float32",
        "RERANKD_DEVICE": "cpu",
        "RERANKD_THREADS": "1",
        "RERANKD_LOG_LEVEL": "warning",
        "RERANKD_LAME_DUCK_SECONDS": str(LAME_DUCK_SECONDS),
        "OMP_NUM_THREADS": "1",
    }


def result_lines(plan: Plan, results: Sequence[Attempts], seconds: float) -> list[str]:
    right = sum(attempts.checker.report.verdicts["right"] for attempts in results)
    head = (
        f"rolling: {plan.how.name}, {plan.rounds} rounds in {seconds:.0f} s, "
        f"{plan.callers} callers, {right} right answers"
    )
    return [head] + [
        f"  {attempts.balancer.name}: {attempts.checker.report.verdicts['right']} right, "
        f"{attempts.failed} failed ({attempts.unexplained} of them not in flight at a killed "
        f"process), {attempts.unanswered} failed twice, "
        f"{attempts.checker.report.verdicts['wrong']} wrong"
        for attempts in results
    ]


def defects(plan: Plan, results: Sequence[Attempts]) -> list[str]:
    """What must not be: after SIGTERM any failure, after SIGKILL those that it does not explain."""
    sentences = []
    for attempts in results:
        failed = attempts.failed if plan.how == signal.SIGTERM else attempts.unexplained
        if failed or attempts.unanswered or not attempts.checker.report.passed:
            name = attempts.balancer.name
            sentences += [f"{name}: {failed} failed, {attempts.unanswered} failed twice"]
            sentences += [f"{name}: {defect}" for defect in attempts.checker.report.defects[:10]]
    return sentences


def show_progress(rounds: int, attempts: list[Attempts]) -> None:
    failed = sum(each.failed for each in attempts)
    print(f"{time.strftime('%H:%M:%S')}: {rounds} rounds done, {failed} failed", flush=True)


async def prove(folder: Path, plans: Sequence[Plan]) -> list[str]:
    sentences = []
    async with open_fleet(folder) as fleet:
        for plan in plans:
            started = time.monotonic()
            results = await fleet.replace_all(plan, show_progress)
            lines = result_lines(plan, results, time.monotonic() - started)
            print("\n".join(lines), flush=True)
            sentences += defects(plan, results)
    return sentences


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--callers", type=int, default=32)
    parser.add_argument("--only", choices=["SIGTERM", "SIGKILL"], help="one of the two parts")
    options = parser.parse_args()
    if missing := missing_programs():
        print(f"not installed: {', '.join(missing)} (on Debian: apt-get install haproxy nginx)")
        return 2
    os.environ["PYTHONPATH"] = str(Path.cwd())
    plans = [
        Plan(how, options.rounds, options.callers)
        for how in (signal.SIGTERM, signal.SIGKILL)
        if options.only in (None, how.name)
    ]
    with tempfile.TemporaryDirectory() as folder:
        sentences = asyncio.run(prove(Path(folder), plans))
    for sentence in sentences:
        print(f"DEFECT: {sentence}")
    return 1 if sentences else 0


if __name__ == "__main__":
    sys.exit(main())
