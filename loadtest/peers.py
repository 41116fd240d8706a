"""The service and its peers over HTTP: the same weights, the same cores, in turn.

    python -m loadtest.peers --quick

Also `CrossEncoder.predict` in-process, with no server at all, as the yardstick.
RERANKD_* settings reach the service: RERANKD_DTYPE=bfloat16 python -m loadtest.peers
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.figure import Figure
from pydantic_core import from_json

from loadtest import environment, report, service
from loadtest.baseline import Predict
from loadtest.report import Table
from loadtest.service import NotStarted, Server
from loadtest.traffic import PATH, closed_loop, pairs_per_second
from loadtest.turns import Ratio, take_turns
from loadtest.weights import minilm
from loadtest.wire import Client
from loadtest.workload import KINDS, SHORT, Kind, Request, Texts

PREDICT = "CrossEncoder.predict"
OURS = "rerankd"
INFINITY = "Infinity"
PLAIN = "FastAPI + predict"
CHECK_SEED = 99


@dataclass(frozen=True, slots=True)
class Plan:
    callers: int
    documents: int
    seconds: float  # after which no caller asks again
    rounds: int


FULL = Plan(callers=8, documents=32, seconds=6, rounds=3)
QUICK = Plan(callers=4, documents=8, seconds=1, rounds=2)


@contextmanager
def infinity(model: Path) -> Iterator[Server]:
    python = environment.python_of("infinity")
    command = [python.with_name("infinity_emb"), "v2", "--model-id", model, "--engine", "torch"]
    where = ["--device", service.device(), "--port", service.PORT, "--log-level", "warning"]
    quiet = {"INFINITY_ANONYMOUS_USAGE_STATS": "0"}
    with service.started(INFINITY, [*command, *where], "/health", quiet) as server:
        yield server


@contextmanager
def plain(model: Path) -> Iterator[Server]:
    command = [sys.executable, "-m", "uvicorn", "loadtest.plain:app", "--port", service.PORT]
    settings = {"MODEL": str(model), "DEVICE": service.device()}
    with service.started(
        PLAIN, [*command, "--log-level", "warning"], "/health", settings
    ) as server:
        yield server


def start_all(model: Path, stack: ExitStack) -> tuple[dict[str, Server], dict[str, str]]:
    """Those that run, paused, and why the others do not."""
    starts: dict[str, Callable[[], Any]] = {
        OURS: lambda: service.rerankd(model=model),
        INFINITY: lambda: infinity(model),
        PLAIN: lambda: plain(model),
    }
    running: dict[str, Server] = {}
    missing: dict[str, str] = {}
    for name, start in starts.items():
        try:
            server: Server = stack.enter_context(start())
            server.wait_until_ready()
        except (environment.NotInstalled, NotStarted) as error:
            if name == OURS:
                raise
            missing[name] = str(error)
            report.tell(f"{name} is left out: {error}")
        else:
            server.pause()
            running[name] = server
    return running, missing


def requests_of(kind: Kind, number: int, plan: Plan) -> Callable[[], Request]:
    """The same texts for everyone in one round, and new ones in the next."""
    texts = Texts(kind, seed=number)
    return lambda: texts.request(plan.documents)


def rate_of(server: Server, kind: Kind, plan: Plan, number: int) -> float:
    async def measure() -> float:
        async with Client(server.url) as client:
            make = requests_of(kind, number, plan)
            sent = await closed_loop(client, make, plan.callers, plan.seconds)
        if bad := [one.status for one in sent if one.status != 200]:
            raise SystemExit(f"{server.name} answered {bad[0] or 'nothing'}: no figure is right")
        return pairs_per_second(sent)

    server.resume()
    try:
        return asyncio.run(measure())
    finally:
        server.pause()
        report.tell(f"{kind.name}: {server.name} has had its turn")


def scores_of(server: Server, request: Request) -> list[float]:
    async def ask() -> bytes:
        async with Client(server.url) as client:
            return (await client.post(PATH, request.body)).body

    server.resume()
    try:
        results = from_json(asyncio.run(ask()))["results"]
    finally:
        server.pause()
    in_order = sorted(results, key=lambda result: result["index"])
    return [float(result["relevance_score"]) for result in in_order]


def measure(servers: Mapping[str, Server], predict: Predict, plan: Plan) -> dict[str, Any]:
    """Pairs a second by kind and contender, round by round."""
    rates: dict[str, Any] = {}
    for kind in KINDS:

        def baseline(number: int, kind: Kind = kind) -> float:
            make = requests_of(kind, number, plan)
            return predict.pairs_per_second([make() for _ in range(plan.callers)])

        def asked(server: Server, kind: Kind = kind) -> Callable[[int], float]:
            return lambda number: rate_of(server, kind, plan, number)

        contenders = {PREDICT: baseline} | {name: asked(one) for name, one in servers.items()}
        for contender in contenders.values():
            contender(-1)  # warm
        rates[kind.name] = take_turns(contenders, plan.rounds)
    return rates


def differences(servers: Mapping[str, Server], predict: Predict) -> dict[str, float]:
    """How far each is from the yardstick, at most, in probability: do all have the same model?"""
    request = Texts(SHORT, CHECK_SEED).request(32)
    truth = predict.scores(request)
    return {
        name: max(abs(a - b) for a, b in zip(scores_of(server, request), truth, strict=True))
        for name, server in servers.items()
    }


def tabulate(rates: dict[str, Any], apart: dict[str, float], missing: dict[str, str]) -> Table:
    headings = ["contender", "score off by"]
    for kind in rates:
        headings += [f"{kind}, pairs/s", "x predict", "x Infinity"]
    rows = [
        [name, f"{apart.get(name, 0):.4f}"]
        + [cell for by_name in rates.values() for cell in cells(by_name, name)]
        for name in next(iter(rates.values()))
    ]
    blank = ["-"] * (len(headings) - 1)
    return Table(headings, [*rows, *([f"{name}: not started", *blank] for name in missing)])


def cells(by_name: Mapping[str, list[float]], name: str) -> list[str]:
    return [
        f"{median(by_name[name]):.0f}",
        times(by_name, name, PREDICT),
        times(by_name, name, INFINITY),
    ]


def times(by_name: Mapping[str, list[float]], name: str, other: str) -> str:
    return str(Ratio.of(by_name[name], by_name[other])) if other in by_name else "-"


def draw(rates: dict[str, Any]) -> Figure:
    figure = report.figure(len(rates))
    for panel, (kind, by_name) in zip(figure.subplots(1, len(rates)), rates.items(), strict=True):
        for place, each in enumerate(by_name.values()):
            panel.barh(place, sum(each) / len(each), color=f"C{place}")
            panel.plot(each, [place] * len(each), "k|")
        panel.set_yticks(range(len(by_name)), list(by_name))
        panel.invert_yaxis()
        panel.set_xlabel("pairs a second; each mark is a round")
        panel.set_title(kind)
    return figure


def main() -> None:
    asked = report.flags(__doc__).parse_args()
    plan = QUICK if asked.quick else FULL
    model = minilm()
    with ExitStack() as stack:
        servers, missing = start_all(model, stack)
        predict = Predict(model, service.device())
        apart = differences(servers, predict)
        rates = measure(servers, predict, plan)
        servers[OURS].resume()
        served = service.info(servers[OURS].url)
    results = {
        "plan": plan,
        "service": served,
        "pairs_per_second": rates,
        "score_off_by": apart,
        "missing": missing,
    }
    report.publish("peers", asked, results, tabulate(rates, apart, missing), draw(rates))


if __name__ == "__main__":
    main()
