"""The engines in eight bits against each other on one core, in turn, without a server.

    taskset -c 1 python -m loadtest.native

Requests of 32 documents, with the bundled model and with a plain BERT of its size.
"""

from __future__ import annotations

import time
from functools import partial
from statistics import median

from matplotlib.figure import Figure

from app.engines import LoadedModel
from app.engines.loading import load
from app.engines.spec import BUNDLED, ModelSpec
from app.settings import Settings
from loadtest import report
from loadtest.report import Table
from loadtest.turns import Ratio, take_turns
from loadtest.weights import minilm
from loadtest.workload import KINDS, Kind, Texts

OURS, THEIRS = "native", ("openvino", "onnxruntime")
DOCUMENTS = 32

Rates = dict[str, list[float]]


def opened(model: str, engine: str) -> LoadedModel:
    folder = Settings().engines.expanduser()
    return load(
        ModelSpec(model, device="cpu", engine=engine, dtype="int8", threads=1, engines=folder)
    )


def pairs_per_second(model: LoadedModel, kind: Kind, number: int) -> float:
    request = Texts(kind, seed=number).request(DOCUMENTS)
    encoded = model.encoder.encode(request.query, request.documents, instruction=None, cut="right")
    pairs = [each.pair for each in encoded]
    started = time.perf_counter()
    model.engine.score(pairs)
    return len(pairs) / (time.perf_counter() - started)


def measure(name: str, model: str, rounds: int) -> dict[str, Rates]:
    models = {engine: opened(model, engine) for engine in (OURS, *THEIRS)}
    rates = {}
    for kind in KINDS:
        contenders = {
            engine: partial(pairs_per_second, each, kind) for engine, each in models.items()
        }
        for contender in contenders.values():
            for number in range(rounds):  # the first call of a shape is slow
                contender(number)
        rates[f"{name}, {kind.name}"] = take_turns(contenders, rounds)
    return rates


def tabulate(rates: dict[str, Rates]) -> Table:
    rows = [
        [name, f"{median(each[OURS]):.0f}"]
        + [str(Ratio.of(each[OURS], each[engine])) for engine in THEIRS]
        for name, each in rates.items()
    ]
    return Table(["model, documents", f"{OURS}, pairs/s", *(f"to {name}" for name in THEIRS)], rows)


def draw(rates: dict[str, Rates]) -> Figure:
    figure, (panel,) = report.panels(1)
    for engine in (OURS, *THEIRS):
        panel.plot(list(rates), [median(each[engine]) for each in rates.values()], label=engine)
    panel.set_ylabel("pairs a second of one core")
    panel.legend()
    return figure


def main() -> None:
    options = report.flags(__doc__).parse_args()
    rates: dict[str, Rates] = {}
    for name, model in (("plain BERT", str(minilm())), ("bundled", BUNDLED)):
        rates |= measure(name, model, 2 if options.quick else 9)
        report.tell(f"{name} measured")
    report.publish("native", options, {"rates": rates}, tabulate(rates), draw(rates))


if __name__ == "__main__":
    main()
