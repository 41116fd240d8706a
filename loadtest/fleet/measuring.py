"""Measures the service times of this machine, with one thread on one core.

The engine by bare calls with batches as the scheduler makes them, each at its best of several
tries, because others use the machine too. Everything else of a request by the service with an
engine that costs nothing.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Sequence
from itertools import islice
from statistics import median
from typing import Any

from app import settings
from app.compose.loading import spec_of
from app.compose.model import limits_of
from app.engines import LoadedModel, Pair, tokens_of
from app.engines.loading import load
from app.rerank.scheduler import Job, Scheduler
from loadtest import service
from loadtest.fleet.pinning import pinned
from loadtest.fleet.service_times import ServiceTimes, fit_line
from loadtest.traffic import PATH
from loadtest.wire import Client
from loadtest.workload import SHORT, Request, Texts, mixture

# Unless RERANKD_* says something else.
ENGINE = {"engine": "openvino", "dtype": "int8", "threads": "1"}
REQUESTS = 30  # of the mixture, from which batches are made
BATCHES = 60
TRIES = 10
SIZES = (1, 10, 50, 200)  # documents of a request
REPEATS = 15


def measure(machine: dict[str, Any]) -> ServiceTimes:
    """With the engine of RERANKD_*, or OpenVINO in eight bits."""
    own = settings.load(os.environ, **engine_settings(), device="cpu", state_cache_mb=0)
    with pinned(0):
        model = load(spec_of(own))
        budget = limits_of(own, model).max_batch_tokens
        tokens, seconds = time_batches(model, batches(model, budget))
    per_batch, per_token = fit_line(tokens, seconds)
    times = ServiceTimes(per_batch, per_token, max_batch_tokens=budget)
    per_request, per_document = measure_outside()
    return ServiceTimes(
        per_batch,
        per_token,
        per_request,
        per_document,
        budget,
        {
            "machine": machine,
            "model": model.name,
            "engine": f"{model.engine.name} {model.engine.dtype}",
            "threads": own.threads,
            "batches": len(tokens),
            "median_error": error_of(times, tokens, seconds),
        },
    )


def engine_settings() -> dict[str, Any]:
    """What the environment does not say already."""
    return {
        name: value
        for name, value in ENGINE.items()
        if f"{settings.PREFIX}{name.upper()}" not in os.environ
    }


def error_of(times: ServiceTimes, tokens: Sequence[int], seconds: Sequence[float]) -> float:
    """Of the fitted time of a batch, as a share."""
    pairs = zip(tokens, seconds, strict=True)
    return median(
        abs(times.per_batch + times.per_token * count - taken) / taken for count, taken in pairs
    )


def batches(model: LoadedModel, budget: int) -> list[Sequence[Pair]]:
    """Of the mixture, full and less than full."""
    scheduler, chance = Scheduler[Job](), random.Random(1)
    for index, request in enumerate(islice(iter(mixture(1), None), REQUESTS)):
        items = model.encoder.encode(
            request.query, request.documents, instruction=None, cut="right"
        )
        scheduler.add(Job([item.pair for item in items], index, index))
    made: list[Sequence[Pair]] = []
    while len(made) < BATCHES:
        share = 1.0 if len(made) % 2 else chance.uniform(0.1, 1.0)
        batch = scheduler.take(int(budget * share))
        assert batch, "the requests hold enough pairs"
        made.append([slot.pair for slot in batch])
    return made


def time_batches(
    model: LoadedModel, made: Sequence[Sequence[Pair]]
) -> tuple[list[int], list[float]]:
    """Tokens and seconds of each; the rounds go over all of them, so that a pause costs one try."""
    best = [float("inf")] * len(made)
    for _ in range(TRIES + 1):  # the first meets each shape for the first time
        for index, batch in enumerate(made):
            started = time.perf_counter()
            model.engine.score(batch)
            best[index] = min(best[index], time.perf_counter() - started)
    return [tokens_of(batch) for batch in made], best


def measure_outside() -> tuple[float, float]:
    """Seconds for a request and for each of its documents, without the engine."""
    with service.rerankd(program="loadtest.free_engine", threads=1) as server:
        server.wait_until_ready()
        return outside_of(server.url, SIZES, REPEATS)


def outside_of(url: str, sizes: Sequence[int], repeats: int) -> tuple[float, float]:
    """Of an idle service whose engine takes no time; a quarter of the repeats is not slower.

    The other repeats may have waited for other programs.
    """
    texts = Texts(SHORT, seed=5)
    documents: list[int] = []
    seconds: list[float] = []
    for size in sizes:
        taken = sorted(asyncio.run(alone(url, [texts.request(size) for _ in range(repeats)])))
        documents.append(size)
        seconds.append(taken[len(taken) // 4])
    return fit_line(documents, seconds)


async def alone(url: str, requests: Sequence[Request]) -> list[float]:
    """Seconds of each, one after the other."""
    taken = []
    async with Client(url) as client:
        for request in requests:
            assert request.body, "encoded before the clock runs"
            started = time.perf_counter()
            answer = await client.post(PATH, request.body)
            if answer.status != 200:
                raise SystemExit(f"an idle service answered {answer.status}: no figure is right")
            taken.append(time.perf_counter() - started)
    return taken
