"""The ceiling of everything but the model: the real service with an engine that costs nothing.

    python -m loadtest.frontend --quick

HTTP, JSON, tokenizer, queue and answers, of fresh short texts. The callers are in this process and
use the same processors, so the ceiling of the service alone is higher.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from itertools import cycle
from statistics import median
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from app.engines.loading import open_as_it_came
from app.engines.spec import ModelSpec
from loadtest import report, service
from loadtest.report import Table
from loadtest.service import Server
from loadtest.traffic import closed_loop, pairs_per_second
from loadtest.turns import Turn, take_turns
from loadtest.wire import Client
from loadtest.workload import SHORT, Request, Texts


class Load(NamedTuple):
    callers: int
    documents: int

    def __str__(self) -> str:
        return f"{self.callers} callers x {self.documents} documents"


LOADS = (Load(8, 100), Load(16, 10), Load(1, 1))
PREPARED = 200  # requests of a turn are made before it: that costs as much as to answer them


class Plan(NamedTuple):
    seconds: float
    rounds: int


FULL, QUICK = Plan(5, 5), Plan(1, 2)


def turn_of(server: Server, load: Load, plan: Plan, number: int) -> Turn:
    texts = Texts(SHORT, seed=number)
    requests = [texts.request(load.documents) for _ in range(PREPARED)]
    for request in requests:
        assert request.body  # encoded once, and kept
    next_request = cycle(requests).__next__

    async def measure() -> Turn:
        cpu = server.cpu_seconds()
        async with Client(server.url) as client:
            sent = await closed_loop(client, next_request, load.callers, plan.seconds)
        if bad := [exchange.status for exchange in sent if exchange.status != 200]:
            raise SystemExit(f"{load}: {bad[0] or 'nothing'} was answered: no figure is right")
        pairs = sum(exchange.documents for exchange in sent)
        return Turn(pairs_per_second(sent), pairs / (server.cpu_seconds() - cpu))

    return asyncio.run(measure())


def tokenizing(plan: Plan) -> float:
    """Pairs a second of the tokenizer alone, in one thread."""
    loaded = open_as_it_came(ModelSpec(device="cpu"))
    assert loaded is not None
    texts, count, started = Texts(SHORT, seed=7), 0, time.perf_counter()
    requests: Sequence[Request] = [texts.request(100) for _ in range(10)]
    for request in cycle(requests):
        loaded.encoder.encode(
            request.query, request.documents, instruction=None, cut="right", clip=True
        )
        count += len(request.documents)
        if time.perf_counter() - started > plan.seconds:
            break
    return count / (time.perf_counter() - started)


def tabulate(turns: dict[str, list[Turn]], tokenizer: float) -> Table:
    rows = [
        [
            name,
            f"{median(turn.pairs_per_second for turn in each):.0f}",
            f"{median(turn.pairs_per_core_second for turn in each):.0f}",
        ]
        for name, each in turns.items()
    ]
    rows.append(["the tokenizer alone, one thread", f"{tokenizer:.0f}", "-"])
    return Table(["load", "pairs/s", "pairs/core-s of the service"], rows)


def draw(turns: dict[str, list[Turn]]) -> Figure:
    figure, (panel,) = report.panels(1)
    panel.barh(
        list(turns), [median(turn.pairs_per_second for turn in each) for each in turns.values()]
    )
    panel.invert_yaxis()
    panel.set_xlabel("pairs a second")
    return figure


def main() -> None:
    options = report.flags(__doc__).parse_args()
    plan = QUICK if options.quick else FULL
    with service.rerankd(program="loadtest.free_engine") as server:
        server.wait_until_ready()
        contenders = {str(load): partial(turn_of, server, load, plan) for load in LOADS}
        for contender in contenders.values():
            contender(-1)
        turns = take_turns(contenders, plan.rounds)
    tokenizer = tokenizing(plan)
    results: dict[str, Any] = {
        "plan": plan,
        "turns": {name: [turn._asdict() for turn in each] for name, each in turns.items()},
        "tokenizer_pairs_per_second": tokenizer,
    }
    report.publish("frontend", options, results, tabulate(turns, tokenizer), draw(turns))


if __name__ == "__main__":
    main()
