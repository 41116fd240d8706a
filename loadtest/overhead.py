"""What the service costs beside its engine: at saturation, for one small request, in JSON.

    python -m loadtest.overhead --quick

- Saturation: how much of the time the engine was busy, by the service's own metrics.
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
from typing import Any

from matplotlib.figure import Figure
from pydantic_core import from_json, to_json

from app import settings
from app.api.dialects.dialect import Label
from app.api.dialects.native import NATIVE
from app.api.limits import RequestLimits
from app.rankers import load_model
from app.rerank.engine import LoadedModel
from app.rerank.query import Ranking, Result
from loadtest import report, service
from loadtest.report import Table
from loadtest.traffic import PATH, closed_loop, pairs_per_second
from loadtest.wire import Answer, Client
from loadtest.workload import SHORT, Request, Texts

CALLERS = 8
DOCUMENTS = 32
SMALL = 10
BUSY = "rerankd_batch_seconds_sum"


@dataclass(frozen=True, slots=True)
class Plan:
    seconds: float  # of saturation
    small: int  # requests, one after the other
    large: int
    large_documents: int  # in each of these
    repeats: int  # of the work on JSON


FULL = Plan(seconds=30, small=100, large=3, large_documents=1000, repeats=30)
QUICK = Plan(seconds=6, small=20, large=1, large_documents=1000, repeats=10)


async def saturate(url: str, seconds: float) -> dict[str, float]:
    texts = Texts(SHORT, seed=1)
    async with Client(url) as client:
        before, started = await busy(client), time.perf_counter()
        sent = await closed_loop(client, lambda: texts.request(DOCUMENTS), CALLERS, seconds)
        wall = time.perf_counter() - started
        engine = await busy(client) - before
    return {
        "pairs_per_second": pairs_per_second(sent),
        "wall_seconds": wall,
        "engine_seconds": engine,
        "overhead": wall / engine - 1,
    }


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
    encoded = model.encoder.encode(request.query, request.documents, instruction=None, cut="right")
    pairs = [one.pair for one in encoded]
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
    limits = RequestLimits(2**30, documents, 10**6, 10**6)
    body = from_json(raw)
    query = NATIVE.parse(body)
    results = [Result(index, index / documents) for index in range(documents)]
    ranking = Ranking(query, results, logits=[0.0] * documents)
    answer = NATIVE.render(ranking, Label("id", "model", 0))
    steps: dict[str, Callable[[], object]] = {
        "read": lambda: from_json(raw, allow_inf_nan=False),
        "check": lambda: limits.check([NATIVE.parse(body)]),
        "render": lambda: NATIVE.render(ranking, Label("id", "model", 0)),
        "write": lambda: to_json(answer),
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
    texts = Texts(SHORT, seed=4)
    small = one_small(url, model, plan.small)
    report.tell("one small request: done")
    saturation = asyncio.run(saturate(url, plan.seconds))
    report.tell("saturation: done")
    requests = [texts.request(plan.large_documents) for _ in range(plan.large)]
    large = median(asyncio.run(alone(url, requests))) * 1000
    steps = json_edge(plan.large_documents, plan.repeats)
    edge = {"documents": plan.large_documents, "steps_ms": steps, "request_ms": large}
    return {
        "saturation": saturation,
        "small": small,
        "json": edge | {"share": sum(steps.values()) / large},
    }


def tabulate(told: dict[str, Any]) -> Table:
    saturation, small, edge = told["saturation"], told["small"], told["json"]
    large = f"{edge['documents']} documents"
    rows = [
        ["saturation, pairs/s", f"{saturation['pairs_per_second']:.0f}"],
        ["saturation, time beside the engine's", f"{saturation['overhead']:.1%}"],
        [f"{SMALL} documents, idle service, ms", f"{small['served_ms']:.1f}"],
        [f"{SMALL} documents, bare engine, ms", f"{small['engine_ms']:.1f}"],
        ["service to engine", f"{small['ratio']:.2f}"],
        *([f"{large}, {step}, ms", f"{ms:.2f}"] for step, ms in edge["steps_ms"].items()),
        [f"{large}, whole request, ms", f"{edge['request_ms']:.0f}"],
        ["JSON, share of it", f"{edge['share']:.2%}"],
    ]
    return Table(["overhead", "figure"], rows)


def draw(told: dict[str, Any]) -> Figure:
    figure, (left, right) = report.panels(2)
    small, edge = told["small"], told["json"]
    left.bar(["bare engine", "service"], [small["engine_ms"], small["served_ms"]])
    left.set_ylabel(f"milliseconds, {SMALL} documents")
    right.bar(list(edge["steps_ms"]), list(edge["steps_ms"].values()))
    right.set_ylabel(f"milliseconds, {edge['documents']} documents")
    return figure


def main() -> None:
    asked = report.flags(__doc__).parse_args()
    plan = QUICK if asked.quick else FULL
    os.environ.setdefault("RERANKD_DEVICE", "cpu")
    with service.rerankd() as server:
        server.wait_until_ready()
        model = load_model(settings.load(os.environ))
        told = measure(server.url, model, plan) | {
            "plan": plan,
            "service": service.info(server.url),
        }
    report.publish("overhead", asked, told, tabulate(told), draw(told))


if __name__ == "__main__":
    main()
