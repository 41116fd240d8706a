"""What the service costs beside its engine: at saturation, for one small request, in JSON.

    python -m loadtest.overhead --quick

- Saturation: pairs a second of the service against those of the bare engine here, in turn, with the
  same pairs in the same kind of batches; and how long the engine was not busy, by the metrics.
- One request of 10 short documents on the idle service, against the bare engine call here.
- JSON: reading, checking and rendering 1,000 documents, against the whole request.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from pydantic_core import from_json

from app import settings
from app.api.body import write_json
from app.api.dialects import native
from app.api.dialects.dialect import Label
from app.api.limits import RequestLimits
from app.compose.loading import spec_of
from app.engines import LoadedModel, Pair
from app.engines.loading import load
from app.rerank.query import Ranking, Result
from app.rerank.scheduler import Job, Scheduler
from loadtest import report, service
from loadtest.report import Table
from loadtest.traffic import PATH
from loadtest.turns import Ratio, take_turns
from loadtest.wire import Answer, Client
from loadtest.workload import SHORT, Request, Texts

CALLERS = 8
DOCUMENTS = 32
SMALL = 10
BUSY = "rerankd_batch_seconds_sum"


@dataclass(frozen=True, slots=True)
class Plan:
    requests: int  # of saturation, in each round
    rounds: int
    small: int  # requests, one after the other
    large: int
    large_documents: int  # in each of these
    repeats: int  # of the work on JSON


FULL = Plan(requests=40, rounds=4, small=100, large=3, large_documents=1000, repeats=30)
QUICK = Plan(requests=8, rounds=2, small=20, large=1, large_documents=1000, repeats=10)


class Saturated(NamedTuple):
    pairs_per_second: float
    beside: float  # time in which the engine did not compute, to that in which it did


async def saturate(url: str, requests: Sequence[Request]) -> Saturated:
    async with Client(url) as client:
        before, left, started = await busy(client), iter(requests), time.perf_counter()

        async def call() -> None:
            for request in left:  # shared: each takes the next
                await ask(client, request)

        await asyncio.gather(*(call() for _ in range(CALLERS)))
        wall = time.perf_counter() - started
        return Saturated(pairs_in(requests) / wall, wall / (await busy(client) - before) - 1)


def bare_rate(model: LoadedModel, requests: Sequence[Request], budget: int) -> float:
    """Pairs a second of the engine alone, in the batches that the scheduler makes of them."""
    scheduler, taken = Scheduler[Job](), 0.0
    for index, request in enumerate(requests):
        scheduler.add(Job(encoded(model, request), index, index))
    while batch := scheduler.take(budget):
        started = time.perf_counter()
        model.engine.score([slot.pair for slot in batch])
        taken += time.perf_counter() - started
    return pairs_in(requests) / taken


def saturation(url: str, model: LoadedModel, plan: Plan, budget: int) -> dict[str, Any]:
    """The service and the bare engine in turn, with the same texts in each round."""

    def texts(number: int) -> list[Request]:
        source = Texts(SHORT, seed=10 + number)
        return [source.request(DOCUMENTS) for _ in range(plan.requests)]

    beside: list[float] = []

    def served(number: int) -> float:
        saturated = asyncio.run(saturate(url, texts(number)))
        beside.append(saturated.beside)
        return saturated.pairs_per_second

    turns = take_turns(
        {"served": served, "engine": lambda number: bare_rate(model, texts(number), budget)},
        plan.rounds,
    )
    return {
        **turns,
        "ratio": Ratio.of(turns["served"], turns["engine"]),
        "beside": median(beside),
    }


def pairs_in(requests: Sequence[Request]) -> int:
    return sum(len(request.documents) for request in requests)


def encoded(model: LoadedModel, request: Request) -> list[Pair]:
    items = model.encoder.encode(request.query, request.documents, instruction=None, cut="right")
    return [item.pair for item in items]


async def busy(client: Client) -> float:
    """Seconds that the engine has computed so far."""
    return service.metrics((await client.get("/metrics")).body.decode())[BUSY]


async def ask(client: Client, request: Request) -> tuple[float, Answer]:
    started = time.perf_counter()
    answer = await client.post(PATH, request.body)
    if answer.status != 200:
        raise SystemExit(f"the service answered {answer.status}: no figure is right")
    return time.perf_counter() - started, answer


async def alone(url: str, requests: Sequence[Request]) -> list[float]:
    """Seconds of each, one after the other on the idle service."""
    async with Client(url) as client:
        return [(await ask(client, request))[0] for request in requests]


def bare(model: LoadedModel, request: Request) -> float:
    """Seconds of the engine alone: the pairs are tokenized before the clock runs."""
    pairs = encoded(model, request)
    started = time.perf_counter()
    model.engine.score(pairs)
    return time.perf_counter() - started


def one_small(url: str, model: LoadedModel, count: int) -> dict[str, float]:
    """The service and the bare engine in turn, so that the machine's moods befall both."""
    texts = Texts(SHORT, seed=2)
    bare(model, texts.request(SMALL))
    asyncio.run(alone(url, [texts.request(SMALL)]))
    both = []
    for _ in range(count):
        request = texts.request(SMALL)
        both.append((asyncio.run(alone(url, [request]))[0], bare(model, request)))
    served, engine = (median(each) for each in zip(*both, strict=True))
    return {"served_ms": served * 1000, "engine_ms": engine * 1000, "ratio": served / engine}


def json_edge(documents: int, repeats: int) -> dict[str, float]:
    """Milliseconds of each step that the HTTP edge does for so many documents."""
    raw = Texts(SHORT, seed=3).request(documents).body
    limits = RequestLimits(2**30, documents, 10**6, 10**6, 10**6)
    body = from_json(raw)
    query = native.parse(body)
    results = [Result(index, index / documents) for index in range(documents)]
    ranking = Ranking(query, results, logits=[0.0] * documents)
    answer = native.render(ranking, Label("id", "model", 0))
    steps: dict[str, Callable[[], object]] = {
        "read": lambda: from_json(raw, allow_inf_nan=False),
        "check": lambda: limits.check_texts(native.parse(body)),
        "render": lambda: native.render(ranking, Label("id", "model", 0)),
        "write": lambda: write_json(answer),
    }
    return {name: median_ms(step, repeats) for name, step in steps.items()}


def median_ms(step: Callable[[], object], repeats: int) -> float:
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        step()
        taken.append(time.perf_counter() - started)
    return median(taken) * 1000


def measure(url: str, model: LoadedModel, plan: Plan) -> dict[str, Any]:
    source = Texts(SHORT, seed=4)
    small = one_small(url, model, plan.small)
    report.tell("one small request: done")
    full = saturation(url, model, plan, service.info(url)["max_batch_tokens"])
    report.tell("saturation: done")
    requests = [source.request(plan.large_documents) for _ in range(plan.large)]
    large = median(asyncio.run(alone(url, requests))) * 1000
    steps = json_edge(plan.large_documents, plan.repeats)
    edge = {"documents": plan.large_documents, "steps_ms": steps, "request_ms": large}
    return {
        "saturation": full,
        "small": small,
        "json": edge | {"share": sum(steps.values()) / large},
    }


def tabulate(results: dict[str, Any]) -> Table:
    full, small, edge = results["saturation"], results["small"], results["json"]
    large = f"{edge['documents']} documents"
    rows = [
        ["saturation, service, pairs/s", f"{median(full['served']):.0f}"],
        ["saturation, bare engine, pairs/s", f"{median(full['engine']):.0f}"],
        ["service to bare engine", str(full["ratio"])],
        ["time beside the engine's", f"{full['beside']:.1%}"],
        [f"{SMALL} documents, idle service, ms", f"{small['served_ms']:.1f}"],
        [f"{SMALL} documents, bare engine, ms", f"{small['engine_ms']:.1f}"],
        ["service to bare engine, time", f"{small['ratio']:.2f}"],
        *([f"{large}, {step}, ms", f"{ms:.2f}"] for step, ms in edge["steps_ms"].items()),
        [f"{large}, whole request, ms", f"{edge['request_ms']:.0f}"],
        ["JSON, share of it", f"{edge['share']:.2%}"],
    ]
    return Table(["overhead", "figure"], rows)


def draw(results: dict[str, Any]) -> Figure:
    figure, (left, right) = report.panels(2)
    small, edge = results["small"], results["json"]
    left.bar(["bare engine", "service"], [small["engine_ms"], small["served_ms"]])
    left.set_ylabel(f"milliseconds, {SMALL} documents")
    right.bar(list(edge["steps_ms"]), list(edge["steps_ms"].values()))
    right.set_ylabel(f"milliseconds, {edge['documents']} documents")
    return figure


def main() -> None:
    options = report.flags(__doc__).parse_args()
    plan = QUICK if options.quick else FULL
    os.environ.setdefault("RERANKD_DEVICE", "cpu")
    with service.rerankd() as server:
        server.wait_until_ready()
        model = load(spec_of(settings.load(os.environ)))
        results = measure(server.url, model, plan) | {
            "plan": plan,
            "service": service.info(server.url),
        }
    report.publish("overhead", options, results, tabulate(results), draw(results))


if __name__ == "__main__":
    main()
