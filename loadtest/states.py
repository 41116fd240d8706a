"""Another question about documents that the bundled model has read before, with each engine.

    python -m loadtest.states

Requests of 32 documents, of which none, four in five or all were in an earlier request; and the
same without the cache. Each question is new. The engine runs in this process, without a server.
"""

from __future__ import annotations

import random
import time
from functools import partial
from statistics import median

from matplotlib.figure import Figure

from app.engines import LoadedModel
from app.engines.loading import load
from app.engines.spec import ModelSpec
from app.settings import Settings
from loadtest import report
from loadtest.report import Table
from loadtest.turns import Ratio, take_turns
from loadtest.workload import KINDS, Kind, Texts

ENGINES = (
    ("native", "int8"),
    ("openvino", "int8"),
    ("onnxruntime", "int8"),
    ("onnxruntime", "float32"),
)
DOCUMENTS = 32
KEPT_BYTES, KEPT_SECONDS = 2**28, 3600.0
# By name: how many of the documents were read before; None: nothing is kept.
SHARES = {"no cache": None, "none": 0, "4 in 5": 26, "all": 32}
BASELINE = "no cache"

Rates = dict[str, list[float]]


def opened(engine: str, dtype: str, *, kept: bool) -> LoadedModel:
    return load(
        ModelSpec(
            device="cpu",
            engine=engine,
            dtype=dtype,
            engines=Settings().engines.expanduser(),
            state_bytes=KEPT_BYTES if kept else 0,
            state_seconds=KEPT_SECONDS,
        )
    )


def pairs_per_second(model: LoadedModel, kind: Kind, share: int | None, number: int) -> float:
    """The documents that are known are those of the first round."""
    known_texts = Texts(kind, seed=0).request(DOCUMENTS).documents[: share or 0]
    fresh = Texts(kind, seed=random.randrange(1, 2**31)).request(DOCUMENTS)
    documents = [*known_texts, *fresh.documents[len(known_texts) :]]
    encoded = model.encoder.encode(
        f"{fresh.query} {number}", documents, instruction=None, cut="right"
    )
    pairs = [each.pair for each in encoded]
    started = time.perf_counter()
    model.engine.score(pairs)
    return len(pairs) / (time.perf_counter() - started)


def measure(engine: str, dtype: str, rounds: int) -> dict[str, Rates]:
    keeping, forgetful = (opened(engine, dtype, kept=kept) for kept in (True, False))
    rates = {}
    for kind in KINDS:
        contenders = {
            name: partial(pairs_per_second, forgetful if share is None else keeping, kind, share)
            for name, share in SHARES.items()
        }
        for contender in reversed(contenders.values()):
            contender(0)  # warm, and the documents are read
        rates[f"{engine} {dtype}, {kind.name}"] = take_turns(contenders, rounds)
    return rates


def tabulate(rates: dict[str, Rates]) -> Table:
    rows = [
        [name, f"{median(each[BASELINE]):.0f}"]
        + [str(Ratio.of(each[share], each[BASELINE])) for share in SHARES if share != BASELINE]
        for name, each in rates.items()
    ]
    return Table(["engine, documents", "no cache, pairs/s", "none known", "4 in 5", "all"], rows)


def draw(rates: dict[str, Rates]) -> Figure:
    figure, (panel,) = report.panels(1)
    for name, each in rates.items():
        ratios = [Ratio.of(each[share], each[BASELINE]).median for share in SHARES]
        panel.plot(list(SHARES), ratios, label=name)
    panel.set_xlabel("documents that were read before")
    panel.set_ylabel("pairs a second, to those without the cache")
    panel.legend()
    return figure


def main() -> None:
    options = report.flags(__doc__).parse_args()
    rates: dict[str, Rates] = {}
    for engine, dtype in ENGINES:
        rates |= measure(engine, dtype, 2 if options.quick else 7)
        report.tell(f"{engine} {dtype} measured")
    report.publish("states", options, {"rates": rates}, tabulate(rates), draw(rates))


if __name__ == "__main__":
    main()
