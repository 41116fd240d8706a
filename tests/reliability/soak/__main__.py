"""Hours at 60% of the peak: does memory grow, do descriptors leak, does it slow down?

    python -m tests.reliability.soak --seconds 28800
    python -m tests.reliability.soak --seconds 900 --small

On a machine that does nothing else: work beside it takes the peak away, and what was 60% becomes
more than all. A lower `--load` leaves room for it; then the p99 says little.

With `--small` a tiny model ranks, so that as many requests take minutes: what the service itself
loses for each request shows, and what a library keeps for each shape does not.

A real process with the bundled model, an embedded store and feedback; callers of every dialect,
questions to /answer whole and streamed, bad requests, scrapes, and callers who leave.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.models import bert
from tests.reliability.history.fleet import Process
from tests.reliability.history.truth import WORDS
from tests.reliability.soak.traffic import Traffic
from tests.reliability.soak.trend import Sample, Trend, trend_of

LOAD = 0.6
CALLERS = 8
PEAK_SECONDS = 20.0
SHAPES_PART = 0.1  # of the run, at most, to make the engine see every shape
SAMPLE_SECONDS = 10.0
PROGRESS_SECONDS = 300.0
CACHE_MB = 4  # full within minutes, so that its filling is not taken for a leak


def sample(pid: int, seconds: float) -> Sample:
    folder = Path(f"/proc/{pid}")
    resident = int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    threads = len(list((folder / "task").iterdir()))
    return Sample(seconds, resident, len(list((folder / "fd").iterdir())), threads)


async def watch(pid: int, samples: list[Sample], every: float, *, show: bool) -> None:
    started, reported = time.monotonic(), 0.0
    while True:
        now = time.monotonic() - started
        samples.append(sample(pid, now))
        if show and now - reported >= PROGRESS_SECONDS:
            reported = now
            print(f"{now:.0f} s: {samples[-1].memory / 2**20:.0f} MiB", flush=True)
        await asyncio.sleep(every)


def make_texts(seed: int) -> list[str]:
    chance = random.Random(seed)
    return [
        f"{number} {' '.join(chance.choices(WORDS, k=chance.randint(5, 60)))}."
        for number in range(5000)
    ]


def ingest(folder: Path, texts: list[str], model: str) -> str:
    for number in range(20):
        (folder / f"{number}.txt").write_text(" ".join(texts[number::100]))
    store = f"sqlite:{folder / 'store.db'}"
    chunks = ["--model", model, "--chunk-tokens", "24", "--overlap", "0"]
    command = [sys.executable, "-m", "app.cli", "ingest", str(folder), "--store", store, *chunks]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return store


async def apply(
    service: Process, seed: int, texts: list[str], seconds: float, load: float, *, show: bool
) -> tuple[Traffic, list[Sample]]:
    port = service.port
    shapes = await Traffic(port, seed, texts).shapes(SHAPES_PART * seconds)
    peak = await Traffic(port, seed, texts).peak(CALLERS, min(PEAK_SECONDS, seconds))
    if show:
        print(
            f"{shapes} shapes, peak {peak:.1f} requests/s; {load:.0%} of it for {seconds:.0f} s",
            flush=True,
        )
    traffic, samples = Traffic(port, seed + 1, texts), list[Sample]()
    every = min(SAMPLE_SECONDS, seconds / 20)
    watching = asyncio.create_task(watch(service.pid, samples, every, show=show))
    try:
        await traffic.run(load * peak, seconds)
    finally:
        watching.cancel()
    return traffic, samples


def soak(
    folder: Path,
    seed: int,
    seconds: float,
    model: str = "bundled",
    *,
    load: float = LOAD,
    show: bool = False,
) -> tuple[Trend, Traffic]:
    texts = make_texts(seed)
    settings = {
        "RERANKD_LOG_LEVEL": "warning",
        "RERANKD_STORE": ingest(folder, texts, model),
        "RERANKD_CACHE_MB": str(CACHE_MB),
        "RERANKD_STATE_CACHE_MB": str(CACHE_MB),
        "RERANKD_FEEDBACK_FILE": str(folder / "feedback.jsonl"),
        "RERANKD_MODEL": model,
        **({} if model == "bundled" else {"RERANKD_ENGINE": "torch"}),
    }
    service = Process("service", folder, settings)
    service.start()
    try:
        asyncio.run(service.ready())
        traffic, samples = asyncio.run(apply(service, seed, texts, seconds, load, show=show))
    finally:
        service.kill()
    return trend_of(samples, traffic.latencies), traffic


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=28_800)
    parser.add_argument("--load", type=float, default=LOAD, help="share of the peak")
    parser.add_argument("--small", action="store_true", help="a tiny model: many more requests")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = "bundled"
        if options.small:
            model = str(Path(folder) / "model")
            bert(Path(model))
        trend, traffic = soak(
            Path(folder), options.seed, options.seconds, model, load=options.load, show=True
        )
    statuses = ", ".join(f"{name}: {count}" for name, count in sorted(traffic.statuses.items()))
    print(f"soak: seed {options.seed}, {trend}; {statuses}")
    problems = [*trend.problems(), *traffic.unexpected[:20]]
    for problem in problems:
        print(f"DEFECT (seed {options.seed}): {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
