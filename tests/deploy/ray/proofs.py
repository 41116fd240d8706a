"""What must hold of rerankd on Ray Serve, each on a real cluster of this machine."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.deploy.processes import free_port, until
from tests.deploy.ray.cluster import START_SECONDS, Cluster, Config, config_for, fixed
from tests.deploy.ray.traffic import REQUESTS, TIMEOUT, differences, failures, flowing
from tests.live.service import LiveService, running
from tests.reliability.history.truth import Truth

QUERIES, TEXTS = 12, 100
CALLERS = 8
BOTH = ("Ingress", "Reranker")


class Unexpected(AssertionError):
    """What must hold does not."""


@dataclass
class Bench:
    cluster: Cluster
    model: Path
    truth: Truth
    port: int = field(default_factory=free_port)

    def config(self, deployments: Mapping[str, Mapping[str, Any]], **settings: object) -> Config:
        wanted = {"model": self.model, **settings}
        return config_for(self.port, deployments, **wanted)

    @contextmanager
    def plain(self) -> Iterator[LiveService]:
        """The service without Ray."""
        engine: dict[str, Any] = {"engine": "onnxruntime", "dtype": "float32", "threads": 1}
        with running(model=self.model, **engine) as service:
            yield service

    def deploy(self, replicas: int, ingresses: int = 1, **settings: object) -> None:
        wanted = {"Reranker": fixed(replicas), "Ingress": fixed(ingresses)}
        self.cluster.deploy(self.config(wanted, **settings))
        self.cluster.wait_until_running(Reranker=replicas, Ingress=ingresses)


def prove_same(bench: Bench) -> str:
    """Also errors, and refusals of a full queue."""
    bench.deploy(1)
    with bench.plain() as service:
        unequal = differences(service.url, bench.cluster.url)
    if unequal:
        raise Unexpected("\n".join(unequal))
    bench.deploy(1, max_queue_tokens=8_000, cache_mb=0)
    answers = asyncio.run(crowd(bench.cluster.url))
    refused = [answer for answer in answers if answer.status_code == 429]
    served = [answer for answer in answers if answer.status_code == 200]
    if len(refused) + len(served) != len(answers) or not refused or not served:
        raise Unexpected(f"a full queue gives {[answer.status_code for answer in answers]}")
    if any("retry-after" not in answer.headers for answer in refused):
        raise Unexpected("a 429 does not say when to come back")
    return (
        f"{len(REQUESTS)} kinds of requests are answered as by the service, errors included; of "
        f"{len(answers)} at once for a small queue, {len(refused)} got 429 with Retry-After"
    )


async def crowd(url: str) -> list[httpx.Response]:
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT) as client:
        bodies = [wide(number, 200) for number in range(16)]
        return await asyncio.gather(*(client.post("/rerank", json=body) for body in bodies))


def prove_rolling(bench: Bench, rounds: int = 4) -> str:
    """`serve deploy` of a configuration that replaces every replica of both kinds."""
    return asyncio.run(roll(bench, rounds))


async def roll(bench: Bench, rounds: int) -> str:
    """In the last round there is only one of each."""
    bench.deploy(2, 2)
    seconds, replaced = [], 0
    async with flowing(bench.truth, bench.port, CALLERS, "rolling") as checker:
        for number in range(rounds):
            count = 1 if number == rounds - 1 else 2
            if count == 1:
                config = bench.config({name: fixed(1) for name in BOTH}, log_level="error")
                bench.cluster.deploy(config)
                bench.cluster.wait_until_running(Reranker=1, Ingress=1)
            before = {name: bench.cluster.replicas(name) for name in BOTH}
            replaced += 2 * count
            started = time.monotonic()
            wanted = {name: fixed(count) for name in BOTH}
            # Any change of the environment replaces the replicas.
            config = bench.config(wanted, log_level=("info", "warning")[number % 2])
            await asyncio.to_thread(bench.cluster.deploy_by_command, config)
            await asyncio.to_thread(bench.cluster.wait_until_replaced, before)
            seconds.append(time.monotonic() - started)
    right, failed = checker.report.verdicts["right"], failures(checker)
    if failed or not right:
        raise Unexpected(f"{failed} of {right + failed} failed: {checker.report.defects[:5]}")
    return (
        f"{rounds} rounds of `serve deploy` replaced {replaced} replicas in "
        f"{sum(seconds):.0f} s under {CALLERS} callers: {right} right answers, 0 failed"
    )


def prove_replaced(bench: Bench) -> str:
    """SIGKILL of a replica with a model."""
    return asyncio.run(kill(bench))


async def kill(bench: Bench) -> str:
    bench.deploy(2)
    async with flowing(bench.truth, bench.port, CALLERS, "kill") as checker:
        before = bench.cluster.replicas("Reranker")
        victim, process = next(iter(before.items()))
        os.kill(process, signal.SIGKILL)
        started = time.monotonic()

        def replaced() -> bool:
            now = bench.cluster.replicas("Reranker")
            return victim not in now and len(now) == len(before)

        await asyncio.to_thread(until, replaced, "the replica is replaced", START_SECONDS)
        seconds = time.monotonic() - started
    right, failed = checker.report.verdicts["right"], failures(checker)
    if failed or not right:
        raise Unexpected(f"{failed} of {right + failed} failed: {checker.report.defects[:5]}")
    return (
        f"a replica was killed and replaced after {seconds:.0f} s under {CALLERS} callers: "
        f"{right} right answers, 0 failed"
    )


# Only waiting work asks for a second replica: a single one never exceeds a utilization of 1.
SCALING: Mapping[str, Any] = {
    "autoscaling_config": {
        "min_replicas": 1,
        "max_replicas": 2,
        "metrics_interval_s": 0.5,
        "look_back_period_s": 2,
        "upscale_delay_s": 2,
        "downscale_delay_s": 10,
        "policy": {
            "policy_function": "deploy.ray.scaling:WaitingWork",
            "policy_kwargs": {"queue_seconds": 1.0, "utilization": 1.0},
        },
    }
}
WIDE = 50
CALM, OVERLOAD = 0.4, 2.0
CALM_SECONDS = 15.0
SCALE_SECONDS = 240.0


def prove_scaling(bench: Bench) -> str:
    """An open load below what a replica computes, one above it, and then none."""
    return asyncio.run(scale(bench))


async def scale(bench: Bench) -> str:
    config = bench.config({"Reranker": SCALING, "Ingress": fixed(1)}, model="bundled", cache_mb=0)
    bench.cluster.deploy(config)
    bench.cluster.wait_until_running(Reranker=1, Ingress=1)
    numbers: list[int] = []

    def count() -> int:
        numbers.append(len(bench.cluster.replicas("Reranker")))
        return numbers[-1]

    async with httpx.AsyncClient(base_url=bench.cluster.url, timeout=TIMEOUT) as client:
        alone = sorted([await timed(client, number) for number in range(20)])[10]
        async with arriving(client, alone / CALM):
            await asyncio.sleep(CALM_SECONDS)
            if count() != 1:
                raise Unexpected(f"{count()} replicas for {CALM} of what one computes")
        started = time.monotonic()
        async with arriving(client, alone / OVERLOAD) as statuses:
            await asyncio.to_thread(until, lambda: count() == 2, "two replicas", SCALE_SECONDS)
            up = time.monotonic()
        await asyncio.to_thread(until, lambda: count() == 1, "one replica", SCALE_SECONDS)
    others = {status for status in statuses if status not in {200, 429}}
    if set(numbers) != {1, 2} or others or not statuses:
        raise Unexpected(f"replicas {set(numbers)}, answers {len(statuses)}, of them {others}")
    return (
        f"a request takes {alone * 1000:.0f} ms; at {1 / alone * CALM:.0f} a second 1 replica; 2 "
        f"after {up - started:.0f} s of {1 / alone * OVERLOAD:.0f} a second; 1 again "
        f"{time.monotonic() - up:.0f} s later without load; {len(statuses)} answers above "
        f"capacity, {statuses.count(429)} of them 429, the others 200"
    )


async def timed(client: httpx.AsyncClient, number: int) -> float:
    started = time.monotonic()
    (await client.post("/rerank", json=wide(number))).raise_for_status()
    return time.monotonic() - started


@asynccontextmanager
async def arriving(client: httpx.AsyncClient, interval: float) -> AsyncIterator[list[int]]:
    """A request each interval, whether or not the ones before are answered. The statuses are in
    the list when all are."""
    statuses: list[int] = []

    async def arrive() -> None:
        async with asyncio.TaskGroup() as tasks:
            while not over.is_set():
                tasks.create_task(send(wide(next(numbers))))
                with suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), interval)

    async def send(body: dict[str, Any]) -> None:
        statuses.append((await client.post("/rerank", json=body)).status_code)

    over, numbers = asyncio.Event(), itertools.count(1000)
    task = asyncio.create_task(arrive())
    try:
        yield statuses
    finally:
        over.set()
        await task


def wide(number: int, documents: int = WIDE) -> dict[str, Any]:
    return {
        "query": f"which river {number}",
        "documents": [f"{number} {n} runs through ten lands and a week" for n in range(documents)],
        "timeout_ms": 110_000,
    }
