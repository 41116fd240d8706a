"""Every engine against `CrossEncoder.predict`, in this process, in turn; and whether they agree.

    python -m loadtest.engines --quick
    python -m loadtest.engines --sets data/scifact data/nfcorpus --sample 20

`--sets` takes folders in BEIR's layout: BM25's best 50 are ranked by each engine, and compared with
torch float32 by nDCG@10 and, where there are two or more, by Kendall's tau.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

from app.engines import LoadedModel
from app.engines.benchmark import tau
from app.engines.loading import benchmark_results, load
from app.engines.spec import BUNDLED, ModelSpec
from app.evaluation.data.sources import read_judged
from app.evaluation.first_stage import candidates
from app.evaluation.measures.measures import measure
from loadtest import report
from loadtest.baseline import Predict
from loadtest.report import Table
from loadtest.turns import Ratio, Turn, take_turns
from loadtest.workload import KINDS, Kind, Request, Texts

PREDICT = "CrossEncoder.predict float32"
REFERENCE = "torch float32"
DEPTH = 50
DOCUMENTS = 32


class Plan(NamedTuple):
    requests: int  # of 32 documents, a turn
    rounds: int


FULL, QUICK = Plan(8, 3), Plan(1, 2)


class Fidelity(NamedTuple):
    ndcg: float
    difference: float  # from torch float32
    tau: float


def open_all(spec: ModelSpec, only: Sequence[str]) -> dict[str, LoadedModel]:
    """All that were measured, or the reference and those asked for."""
    load(spec, report.tell)
    by_name = {f"{result.engine} {result.dtype}": result for result in benchmark_results(spec)}
    if unknown := set(only) - set(by_name):
        raise SystemExit(f"--only: no {', '.join(unknown)} here, but {', '.join(by_name)}")
    return {
        name: load(replace(spec, engine=result.engine, dtype=result.dtype))
        for name, result in by_name.items()
        if not only or name in {REFERENCE, *only}
    }


def scores(model: LoadedModel, query: str, documents: Sequence[str]) -> list[float]:
    if not documents:  # BM25 may have no candidate
        return []
    encoded = model.encoder.encode(query, documents, instruction=None, cut="right")
    return model.engine.score([item.pair for item in encoded])


def turn_of(model: LoadedModel, requests: Sequence[Request]) -> Turn:
    """As the service does it: query and documents tokenized, then scored in slices."""
    started, cpu = time.perf_counter(), time.process_time()
    for request in requests:
        scores(model, request.query, request.documents)
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    pairs = sum(len(request.documents) for request in requests)
    return Turn(pairs / seconds, pairs / cpu)


def requests_of(kind: Kind, number: int, plan: Plan) -> list[Request]:
    texts = Texts(kind, seed=number)
    return [texts.request(DOCUMENTS) for _ in range(plan.requests)]


def race(
    predict: Predict, models: Mapping[str, LoadedModel], plan: Plan
) -> dict[str, dict[str, list[Turn]]]:
    turns = {}
    for kind in KINDS:

        def predicted(number: int, kind: Kind = kind) -> Turn:
            return predict.turn(requests_of(kind, number, plan))

        def scored(number: int, kind: Kind = kind, *, model: LoadedModel) -> Turn:
            return turn_of(model, requests_of(kind, number, plan))

        contenders: dict[str, Callable[[int], Turn]] = {PREDICT: predicted}
        contenders |= {name: partial(scored, model=model) for name, model in models.items()}
        for contender in contenders.values():
            contender(99)  # the first calls of a shape are slow
        turns[kind.name] = take_turns(contenders, plan.rounds)
        report.tell(f"{kind.name}: all have had their turns")
    return turns


def compare(folder: Path, models: Mapping[str, LoadedModel], sample: int) -> dict[str, Fidelity]:
    """Each engine's order of the same candidates."""
    judged = read_judged(folder).sample(sample, seed=0)
    pools = candidates(judged, DEPTH, "english", own_ranks=False)
    logits = {
        name: {
            query: scores(model, text, judged.texts(pools[query]))
            for query, text in judged.queries.items()
        }
        for name, model in models.items()
    }
    values = {}
    for name, by_query in logits.items():
        orders = {
            query: [pools[query][index] for index in sorted(range(len(row)), key=lambda n: -row[n])]
            for query, row in by_query.items()
        }
        taus = [
            tau(logits[REFERENCE][query], row) for query, row in by_query.items() if len(row) > 1
        ]
        ndcg, agreement = measure(judged, orders, 10).mean("nDCG@10"), mean(taus)
        values[name] = (ndcg, agreement)
        report.tell(f"{judged.name}: {name}: nDCG@10 {ndcg:.4f}, tau {agreement:.3f}")
    exact = values[REFERENCE][0]
    return {name: Fidelity(ndcg, ndcg - exact, agrees) for name, (ndcg, agrees) in values.items()}


def table_of(
    turns: Mapping[str, Mapping[str, Sequence[Turn]]], sets: Mapping[str, Mapping[str, Fidelity]]
) -> Table:
    headings = ["engine"]
    for kind in turns:
        headings += [f"{kind}, pairs/s", "against predict"]
    if sets:
        headings += ["worst nDCG@10", "mean tau"]
    rows = []
    for name in next(iter(turns.values())):
        row = [name]
        for by_name in turns.values():
            ours = [turn.pairs_per_second for turn in by_name[name]]
            theirs = [turn.pairs_per_second for turn in by_name[PREDICT]]
            row += [f"{median(ours):.1f}", str(Ratio.of(ours, theirs))]
        if sets:
            measured = [by_name[name] for by_name in sets.values() if name in by_name]
            row += (
                [
                    f"{min(fidelity.difference for fidelity in measured):+.4f}",
                    f"{mean(fidelity.tau for fidelity in measured):.4f}",
                ]
                if measured
                else ["", ""]
            )
        rows.append(row)
    return Table(headings, rows)


def sets_table(sets: Mapping[str, Mapping[str, Fidelity]]) -> Table:
    names = [name for name in next(iter(sets.values())) if name != REFERENCE]
    headings = ["set", f"{REFERENCE}, nDCG@10"]
    for name in names:
        headings += [name, "tau"]
    rows = []
    for label, by_name in sets.items():
        row = [label, f"{by_name[REFERENCE].ndcg:.4f}"]
        for name in names:
            row += [f"{by_name[name].difference:+.4f}", f"{by_name[name].tau:.4f}"]
        rows.append(row)
    return Table(headings, rows)


def draw(turns: Mapping[str, Mapping[str, Sequence[Turn]]]) -> Any:
    figure, axes = report.panels(len(turns))
    for panel, (kind, by_name) in zip(axes, turns.items(), strict=True):
        names = list(by_name)
        panel.barh(
            names[::-1],
            [median(turn.pairs_per_second for turn in by_name[name]) for name in names[::-1]],
        )
        panel.set_title(f"{kind}: pairs a second")
    return figure


def main() -> int:
    parser = report.flags(__doc__)
    parser.add_argument("--model", default=BUNDLED, help="a folder or hub name [bundled]")
    parser.add_argument("--sets", type=Path, nargs="*", default=[], help="BEIR folders")
    parser.add_argument("--sample", type=int, default=20, help="queries of each set [20]")
    parser.add_argument("--only", nargs="*", default=[], help='as "openvino int8" [all engines]')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as engines:
        results, drawn, table = run(options, Path(engines))
    report.publish("engines", options, results, table, drawn)
    return 0


def run(options: argparse.Namespace, engines: Path) -> tuple[dict[str, Any], Any, Table]:
    spec = ModelSpec(options.model, device="cpu", engine="auto", engines=engines)
    models = open_all(spec, options.only)
    turns = race(Predict(spec.source), models, QUICK if options.quick else FULL)
    sets = {folder.name: compare(folder, models, options.sample) for folder in options.sets}
    if sets:
        print(f"{sets_table(sets)}\n")
    results = {
        "turns": {
            kind: {name: [turn._asdict() for turn in rounds] for name, rounds in by_name.items()}
            for kind, by_name in turns.items()
        },
        "sets": {
            label: {name: fidelity._asdict() for name, fidelity in by_name.items()}
            for label, by_name in sets.items()
        },
    }
    return results, draw(turns), table_of(turns, sets)


if __name__ == "__main__":
    raise SystemExit(main())
