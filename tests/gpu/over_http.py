"""The service and a plain FastAPI app over HTTP, in turn; and how busy the service's engine is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from loadtest import peers, service
from loadtest.baseline import Predict
from loadtest.report import tell
from loadtest.service import Server
from loadtest.turns import Ratio, take_turns
from loadtest.workload import Kind
from tests.gpu.plan import Plan

# Seconds in which the engine computed; where two batches are computed at once, only the later end.
BUSY = "rerankd_batch_seconds_sum"
LOADS = ((1, 1), (1, 100), (32, 100), (64, 10))  # callers, documents


def measure(plan: Plan) -> dict[str, Any]:
    source = Path(plan.spec().source)
    with ExitStack() as stack:
        ours = stack.enter_context(service.rerankd(device=plan.device, engine="torch"))
        plain = stack.enter_context(peers.plain(source))
        for server in (ours, plain):
            server.wait_until_ready()
            server.pause()
        predict = Predict(source, plan.device, plan.dtypes[-1])
        results: dict[str, Any] = {}
        for kind in plan.kinds:
            results[kind.name] = in_turn(plan, kind, predict, ours, plain)
            tell(f"{kind.name}: {results[kind.name]}")
        results["callers x documents"] = by_load(plan, ours)
    return results


def in_turn(
    plan: Plan, kind: Kind, predict: Predict, ours: Server, plain: Server
) -> dict[str, Any]:
    usual = load(plan, 8, 100)

    def predicted(number: int) -> float:
        make = peers.requests_of(kind, number, usual)
        return predict.turn([make() for _ in range(usual.callers)]).pairs_per_second

    contenders: Mapping[str, Callable[[int], float]] = {
        "predict": predicted,
        "rerankd": lambda number: peers.turn_of(ours, kind, usual, number).pairs_per_second,
        "plain FastAPI": lambda number: peers.turn_of(plain, kind, usual, number).pairs_per_second,
    }
    for contender in contenders.values():
        contender(-1)
    rates = take_turns(contenders, usual.rounds)
    return {
        name: {"pairs/s": round(median(each)), "x predict": str(Ratio.of(each, rates["predict"]))}
        for name, each in rates.items()
    }


def by_load(plan: Plan, ours: Server) -> dict[str, Any]:
    results = {}
    for callers, documents in LOADS[: 1 if plan.small else None]:
        rate, share = busy(ours, plan.kinds[0], load(plan, callers, documents))
        results[f"{callers} x {documents}"] = {"pairs/s": rate, "engine's share": share}
        tell(f"{callers} x {documents}: {rate} pairs/s")
    return results


def load(plan: Plan, callers: int, documents: int) -> peers.Plan:
    if plan.small:
        return peers.Plan(min(callers, 2), min(documents, 4), seconds=0.2, rounds=1)
    return peers.Plan(callers, documents, seconds=1.5, rounds=2)


def busy(ours: Server, kind: Kind, usual: peers.Plan) -> tuple[int, float]:
    """Pairs a second, and the share of the time in which the engine computed."""
    peers.turn_of(ours, kind, usual, -1)
    before, started = busy_seconds(ours), time.monotonic()
    rate = peers.turn_of(ours, kind, usual, 77).pairs_per_second
    elapsed = time.monotonic() - started
    return round(rate), round((busy_seconds(ours) - before) / elapsed, 3)


def busy_seconds(ours: Server) -> float:
    ours.resume()
    values = service.metrics(httpx.get(f"{ours.url}/metrics").raise_for_status().text)
    ours.pause()
    return sum(value for name, value in values.items() if name.startswith(BUSY))
