"""The service and its peers over HTTP: the same weights, the same cores, in turn.

    python -m loadtest.peers --quick

Libraries that are no servers stand behind the plain app, with files made by their own tools. Also
`CrossEncoder.predict` in-process, with no server at all, as the yardstick.
RERANKD_* settings reach the service: RERANKD_DTYPE=bfloat16 python -m loadtest.peers
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from matplotlib.figure import Figure
from pydantic_core import from_json

from app.engines.spec import ModelSpec
from app.evaluation.writing import new_folder
from loadtest import environment, report, service
from loadtest.baseline import Predict
from loadtest.report import Table
from loadtest.service import NotStarted, Server
from loadtest.traffic import PATH, closed_loop, pairs_per_second
from loadtest.turns import Ratio, Turn, take_turns
from loadtest.weights import minilm
from loadtest.wire import Client
from loadtest.workload import KINDS, SHORT, Kind, Request, Texts

PREDICT = "CrossEncoder.predict"
OURS = "rerankd"
INFINITY = "Infinity"
PLAIN = "FastAPI + predict"
LIBRARIES = {
    "sentence-transformers ONNX int8": "onnx",
    "sentence-transformers OpenVINO int8": "openvino",
    "OpenVINO GenAI": "genai",
    "fastembed": "fastembed",
}
CHECK_SEED = 99

Turns = dict[str, dict[str, list[Turn]]]


@dataclass(frozen=True, slots=True)
class Plan:
    callers: int
    documents: int
    seconds: float  # after which no caller asks again
    rounds: int


FULL = Plan(callers=8, documents=32, seconds=6, rounds=3)
QUICK = Plan(callers=4, documents=8, seconds=1, rounds=2)
# A busy uvicorn closes a connection as idle on which a request has just arrived.
PLAIN_SERVER = ("--log-level", "warning", "--timeout-keep-alive", "75")
# The number of a round that is not counted.
WARM = -1


class Unanswered(SystemExit):
    """A server answered other than with 200."""


@contextmanager
def infinity(model: Path) -> Iterator[Server]:
    python = environment.python_of("infinity")
    command = [python.with_name("infinity_emb"), "v2", "--model-id", model, "--engine", "torch"]
    where = ["--device", service.device(), "--port", service.PORT, "--log-level", "warning"]
    quiet = {"INFINITY_ANONYMOUS_USAGE_STATS": "0"}
    with service.started(INFINITY, [*command, *where], "/health", quiet) as server:
        yield server


@contextmanager
def library(name: str, model: Path) -> Iterator[Server]:
    python = environment.python_of("libraries")
    command = [python, "-m", "uvicorn", "loadtest.library_app:app", "--port", service.PORT]
    settings = {"LIBRARY": LIBRARIES[name], "MODEL": str(library_files(model, python))}
    with service.started(name, [*command, *PLAIN_SERVER], "/health", settings) as server:
        yield server


def library_files(model: Path, python: Path) -> Path:
    """Made once for a model, by the tools of the libraries."""
    folder = environment.CACHE / f"{model.name}-for-libraries"
    if not folder.exists():
        with new_folder(folder) as aside:
            environment.do(python, "-m", "loadtest.library_models", model, aside)
    return folder


@contextmanager
def plain(model: Path) -> Iterator[Server]:
    command = [sys.executable, "-m", "uvicorn", "loadtest.plain:app", "--port", service.PORT]
    settings = {"MODEL": str(model), "DEVICE": service.device()}
    with service.started(PLAIN, [*command, *PLAIN_SERVER], "/health", settings) as server:
        yield server


def start_all(model: Path, stack: ExitStack) -> tuple[dict[str, Server], dict[str, str]]:
    """Those that run, paused, and why the others do not."""
    starts: dict[str, Callable[[], Any]] = {
        OURS: lambda: service.rerankd(model=model),
        INFINITY: lambda: infinity(model),
        PLAIN: lambda: plain(model),
        **{name: partial(library, name, model) for name in LIBRARIES},
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


def turn_of(server: Server, kind: Kind, plan: Plan, number: int) -> Turn:
    async def measure() -> Turn:
        cpu = server.cpu_seconds()
        async with Client(server.url) as client:
            make = requests_of(kind, number, plan)
            sent = await closed_loop(client, make, plan.callers, plan.seconds)
        if bad := [exchange.status for exchange in sent if exchange.status != 200]:
            raise Unanswered(f"{server.name} answered {bad[0] or 'nothing'}: no figure is right")
        pairs = sum(exchange.documents for exchange in sent)
        return Turn(pairs_per_second(sent), pairs / (server.cpu_seconds() - cpu))

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


def warm(servers: Mapping[str, Server], plan: Plan) -> dict[str, str]:
    """Why those cannot be measured that cannot."""
    failed: dict[str, str] = {}
    for kind in KINDS:
        for name, server in servers.items():
            try:
                if name not in failed:
                    turn_of(server, kind, plan, WARM)
            except Unanswered as error:
                if name == OURS:
                    raise
                failed[name] = str(error)
                report.tell(f"{name} is left out: {error}")
    return failed


def measure(servers: Mapping[str, Server], predict: Predict, plan: Plan) -> Turns:
    """By kind and contender, round by round."""
    turns: Turns = {}
    for kind in KINDS:

        def baseline(number: int, kind: Kind = kind) -> Turn:
            make = requests_of(kind, number, plan)
            return predict.turn([make() for _ in range(plan.callers)])

        def contender_of(server: Server, kind: Kind = kind) -> Callable[[int], Turn]:
            return lambda number: turn_of(server, kind, plan, number)

        contenders = {PREDICT: baseline} | {
            name: contender_of(server) for name, server in servers.items()
        }
        baseline(WARM)
        turns[kind.name] = take_turns(contenders, plan.rounds)
    return turns


def differences(servers: Mapping[str, Server], predict: Predict) -> dict[str, float]:
    """How far each is from the yardstick, at most, in probability: do all have the same model?"""
    request = Texts(SHORT, CHECK_SEED).request(32)
    truth = predict.scores(request)
    return {
        name: max(abs(a - b) for a, b in zip(scores_of(server, request), truth, strict=True))
        for name, server in servers.items()
    }


def tabulate(turns: Turns, apart: dict[str, float], missing: dict[str, str]) -> Table:
    headings = ["contender", "score off by"]
    for kind in turns:
        headings += [f"{kind}, pairs/s", "x predict", "rerankd to it", "pairs/core-s"]
    rows = [
        [name, f"{apart.get(name, 0):.4f}"]
        + [cell for by_name in turns.values() for cell in cells(by_name, name)]
        for name in next(iter(turns.values()))
    ]
    blank = ["-"] * (len(headings) - 1)
    return Table(headings, [*rows, *([f"{name}: not measured", *blank] for name in missing)])


def cells(by_name: Mapping[str, Sequence[Turn]], name: str) -> list[str]:
    rates = {name: [turn.pairs_per_second for turn in turns] for name, turns in by_name.items()}
    ratios = [Ratio.of(rates[name], rates[PREDICT]), Ratio.of(rates[OURS], rates[name])]
    per_core = median(turn.pairs_per_core_second for turn in by_name[name])
    return [f"{median(rates[name]):.0f}", *map(str, ratios), f"{per_core:.0f}"]


def as_json(turns: Turns) -> dict[str, Any]:
    return {
        kind: {name: [turn._asdict() for turn in each] for name, each in by_name.items()}
        for kind, by_name in turns.items()
    }


def draw(turns: Turns) -> Figure:
    figure, panels = report.panels(len(turns))
    for panel, (kind, by_name) in zip(panels, turns.items(), strict=True):
        for position, each in enumerate(by_name.values()):
            rates = [turn.pairs_per_second for turn in each]
            panel.barh(position, median(rates), color=f"C{position}")
            panel.plot(rates, [position] * len(rates), "k|")
        panel.set_yticks(range(len(by_name)), list(by_name))
        panel.invert_yaxis()
        panel.set_xlabel("pairs a second: the median, and a mark for each round")
        panel.set_title(kind)
    return figure


def main() -> None:
    parser = report.flags(__doc__)
    parser.add_argument(
        "--model", help="a folder, or `bundled` [a plain BERT of the same size, which all can load]"
    )
    options = parser.parse_args()
    plan = QUICK if options.quick else FULL
    model = Path(ModelSpec(options.model).source) if options.model else minilm()
    with ExitStack() as stack:
        servers, missing = start_all(model, stack)
        missing |= (failed := warm(servers, plan))
        servers = {name: each for name, each in servers.items() if name not in failed}
        predict = Predict(model, service.device())
        apart = differences(servers, predict)
        turns = measure(servers, predict, plan)
        servers[OURS].resume()
        served = service.info(servers[OURS].url)
    results = {
        "plan": plan,
        "service": served,
        "turns": as_json(turns),
        "score_off_by": apart,
        "missing": missing,
    }
    report.publish("peers", options, results, tabulate(turns, apart, missing), draw(turns))


if __name__ == "__main__":
    main()
