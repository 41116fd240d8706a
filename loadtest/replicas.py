"""Two replicas on a core each, against one: does the second add what it should?

    python -m loadtest.replicas

Each replica is the real service with one thread, pinned to a core of its own. Callers wait for
their answers, eight for each replica, through HAProxy by the shipped configuration. Each replica
alone and both together take turns; the ratio is that of both to the mean of each alone, round by
round. Callers and HAProxy have no core of their own: what they take, both together lose. Ends with
1 below the aim.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from matplotlib.figure import Figure

from loadtest import report, service
from loadtest.fleet import reality
from loadtest.fleet.measuring import engine_settings
from loadtest.fleet.pinning import cores, pinned
from loadtest.fleet.policies import LEAST_OUTSTANDING
from loadtest.report import Table
from loadtest.service import Server
from loadtest.traffic import closed_loop, steady_rate
from loadtest.turns import Ratio, take_turns
from loadtest.wire import Client
from loadtest.workload import SHORT, Texts

AIM = 1.9
BOTH = "both"
CALLERS = 8  # for each replica
DOCUMENTS = 32
PREPARED = 100  # requests of a turn


@dataclass(frozen=True, slots=True)
class Plan:
    seconds: float
    rounds: int


FULL, QUICK = Plan(20, 8), Plan(4, 2)


@dataclass(frozen=True)
class Contender:
    url: str
    servers: Sequence[Server]


class Turn(NamedTuple):
    pairs_per_second: float
    replica_cores: float  # of a processor, for each replica
    client_cores: float


Turns = Mapping[str, Sequence[Turn]]


def turn_of(contender: Contender, plan: Plan, number: int) -> Turn:
    texts = Texts(SHORT, seed=number)
    requests = [texts.request(DOCUMENTS) for _ in range(PREPARED)]
    for request in requests:
        assert request.body, "encoded before the clock runs"
    callers, next_request = CALLERS * len(contender.servers), cycle(requests).__next__
    used = sum(server.cpu_seconds() for server in contender.servers)
    own, started = time.process_time(), time.perf_counter()

    async def measure() -> float:
        async with Client(contender.url) as client:
            sent = await closed_loop(client, next_request, callers, plan.seconds)
        if bad := [exchange.status for exchange in sent if exchange.status != 200]:
            raise SystemExit(f"{bad[0] or 'nothing'} was answered: no figure is right")
        return steady_rate(sent, plan.seconds)

    rate = asyncio.run(measure())
    wall = time.perf_counter() - started
    used = sum(server.cpu_seconds() for server in contender.servers) - used
    replica_cores = used / wall / len(contender.servers)
    return Turn(rate, replica_cores, (time.process_time() - own) / wall)


def measure(contenders: Mapping[str, Contender], plan: Plan) -> Turns:
    turns = {name: partial(turn_of, each, plan) for name, each in contenders.items()}
    for turn in turns.values():
        turn(-1)  # each shape is slow at first
    return take_turns(turns, plan.rounds)


def ratio_of(turns: Turns) -> Ratio:
    """Of both together to the mean of each alone."""
    alone = [
        [turn.pairs_per_second for turn in each] for name, each in turns.items() if name != BOTH
    ]
    together = [turn.pairs_per_second for turn in turns[BOTH]]
    return Ratio.of(together, [mean(rates) for rates in zip(*alone, strict=True)])


def tabulate(turns: Turns) -> Table:
    rows = [
        [
            name,
            f"{median(turn.pairs_per_second for turn in each):.1f}",
            f"{median(turn.replica_cores for turn in each):.2f}",
            f"{median(turn.client_cores for turn in each):.3f}",
        ]
        for name, each in turns.items()
    ]
    rows.append([f"both to one (aim {AIM})", str(ratio_of(turns)), "", ""])
    return Table(["replicas", "pairs/s", "cores of a replica", "cores of the callers"], rows)


def draw(turns: Turns) -> Figure:
    figure, (panel,) = report.panels(1)
    for name, each in turns.items():
        panel.plot([turn.pairs_per_second for turn in each], "o-", label=name)
    panel.set_xlabel("round")
    panel.set_ylabel("pairs a second")
    panel.set_ylim(bottom=0)
    panel.legend()
    return figure


def start(
    stack: ExitStack, folder: Path, replica: Callable[[], AbstractContextManager[Server]]
) -> dict[str, Contender]:
    """A replica on each of the first two cores, and an HAProxy before each and before both."""
    servers = []
    for index in range(2):
        with pinned(index):
            servers.append(stack.enter_context(replica()))
    for server in servers:
        server.wait_until_ready()
    groups = {f"core {index} alone": [server] for index, server in enumerate(servers)}
    contenders = {}
    for name, group in {**groups, BOTH: servers}.items():
        own = folder / name.replace(" ", "-")
        own.mkdir()
        urls = [server.url for server in group]
        url = stack.enter_context(reality.balanced(urls, LEAST_OUTSTANDING, own))
        contenders[name] = Contender(url, group)
    return contenders


def main() -> int:
    options = report.flags(__doc__).parse_args()
    if len(cores()) < 2:
        raise SystemExit("two replicas on a core each need two cores")
    if not reality.is_installed():
        raise SystemExit("haproxy is not installed (on Debian: apt-get install haproxy)")
    plan = QUICK if options.quick else FULL
    with TemporaryDirectory() as folder, ExitStack() as stack:
        replica = partial(service.rerankd, **engine_settings())
        contenders = start(stack, Path(folder), replica)
        served = service.info(contenders[BOTH].servers[0].url)
        turns = measure(contenders, plan)
    ratio = ratio_of(turns)
    results = {
        "plan": plan,
        "service": served,
        "aim": AIM,
        "ratio": ratio._asdict(),
        "turns": {name: [turn._asdict() for turn in each] for name, each in turns.items()},
    }
    report.publish("replicas", options, results, tabulate(turns), draw(turns))
    return 0 if ratio.median >= AIM else 1


if __name__ == "__main__":
    sys.exit(main())
