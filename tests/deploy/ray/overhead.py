"""What Ray Serve adds to a request: the plain service and the application answer in turn."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

import httpx

from tests.deploy.ray.proofs import Bench
from tests.deploy.ray.traffic import TIMEOUT

DOCUMENTS = (1, 10, 100)
TURNS = 200
WARM = 20
CALLERS = 8
WINDOW_SECONDS, WINDOWS = 4.0, 3
SETS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8")


@dataclass
class Side:
    """One of the two, with what it took for each number of documents."""

    name: str
    url: str
    seconds: dict[int, list[float]] = field(default_factory=dict)
    answered: int = 0  # with several callers at once
    busy: float = 0.0

    def p50(self, documents: int) -> float:
        return median(self.seconds[documents]) * 1000

    def p95(self, documents: int) -> float:
        return quantiles(self.seconds[documents], n=20)[-1] * 1000

    @property
    def rate(self) -> float:
        return self.answered / self.busy


def body(number: int, documents: int) -> dict[str, object]:
    """No pair is in the cache."""
    texts = [f"{number} {n} the river runs through ten lands" for n in range(documents)]
    return {"query": "which river runs through ten lands", "documents": texts}


def measure_overhead(bench: Bench) -> str:
    """Both have one engine with one thread, and both are there all the time."""
    bench.deploy(1)
    before = os.getloadavg()[0]
    with bench.plain() as service:
        plain, ray = Side("plain", service.url), Side("Ray Serve", bench.cluster.url)
        for documents in DOCUMENTS:
            alternate((plain, ray), documents)
        for _ in range(WINDOWS):
            for side in (plain, ray):
                asyncio.run(crowd(side))
    lines = [
        f"{processor()}; load before {before:.1f}, after {os.getloadavg()[0]:.1f}",
        *(line(plain, ray, documents) for documents in DOCUMENTS),
        crowded(plain, ray),
    ]
    return "\n  ".join(lines)


def crowded(plain: Side, ray: Side) -> str:
    return (
        f"{CALLERS} callers, 10 documents: {plain.rate:.0f} and {ray.rate:.0f} requests/s "
        f"(ratio {ray.rate / plain.rate:.2f})"
    )


def line(plain: Side, ray: Side, documents: int) -> str:
    more = ray.p50(documents) - plain.p50(documents)
    return (
        f"{documents} documents, one caller: p50 {plain.p50(documents):.1f} ms and "
        f"{ray.p50(documents):.1f} ms (ratio {ray.p50(documents) / plain.p50(documents):.1f}, "
        f"{more:.1f} ms more), p95 {plain.p95(documents):.1f} ms and {ray.p95(documents):.1f} ms"
    )


def alternate(sides: Sequence[Side], documents: int) -> None:
    """Each in turn, so that whatever else the machine does concerns both."""
    clients = [httpx.Client(base_url=side.url, timeout=TIMEOUT) for side in sides]
    for turn in range(WARM + TURNS):
        for side, client in zip(sides, clients, strict=True):
            started = time.perf_counter()
            client.post("/rerank", json=body(turn, documents)).raise_for_status()
            if turn >= WARM:
                side.seconds.setdefault(documents, []).append(time.perf_counter() - started)
    for client in clients:
        client.close()


async def crowd(side: Side) -> None:
    started = time.perf_counter()
    async with httpx.AsyncClient(base_url=side.url, timeout=TIMEOUT) as client:

        async def call(caller: int) -> None:
            number = caller * 1_000_000 + side.answered
            while time.perf_counter() - started < WINDOW_SECONDS:
                number += 1
                (await client.post("/rerank", json=body(number, 10))).raise_for_status()
                side.answered += 1

        await asyncio.gather(*(call(caller) for caller in range(CALLERS)))
    side.busy += time.perf_counter() - started


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    facts = dict(line.split(":", 1) for line in lines if ":" in line)
    fields = {name.strip(): value.strip() for name, value in facts.items()}
    flags = fields.get("flags", "").split()
    sets = ", ".join(name for name in SETS if name in flags)
    return f"{os.cpu_count()} cores of {fields.get('model name', 'unknown')} ({sets})"
