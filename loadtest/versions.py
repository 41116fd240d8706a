"""The service of this checkout against that of another, in turn: is a change slower?

    git worktree add ../before HEAD~20
    python -m loadtest.versions ../before

Both run in this environment, with the same model and settings (RERANKD_* reach both).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure

from loadtest import report, service
from loadtest.peers import Plan, Turns, turn_of
from loadtest.report import Table
from loadtest.service import Server
from loadtest.turns import Ratio, Turn, take_turns
from loadtest.workload import SHORT

THIS = "this checkout"
ROUNDS, QUICK_ROUNDS = 10, 2
SHAPES = {
    "1 caller x 1 document": Plan(callers=1, documents=1, seconds=2, rounds=ROUNDS),
    "1 caller x 10 documents": Plan(callers=1, documents=10, seconds=3, rounds=ROUNDS),
    "64 callers x 1 document": Plan(callers=64, documents=1, seconds=3, rounds=ROUNDS),
    "8 callers x 32 documents": Plan(callers=8, documents=32, seconds=4, rounds=ROUNDS),
    "2 callers x 500 documents": Plan(callers=2, documents=500, seconds=1, rounds=ROUNDS),
}
QUICK = {name: replace(plan, seconds=0.5, rounds=QUICK_ROUNDS) for name, plan in SHAPES.items()}


def checkout(folder: Path) -> Path:
    """Where `app` is missing, Python would find the installed package instead."""
    if not (folder / "app" / "cli.py").is_file():
        raise SystemExit(f"{folder} is no checkout of the service: it holds no app/cli.py")
    return folder.resolve()


def measure(servers: Mapping[str, Server], plans: Mapping[str, Plan]) -> Turns:
    """By shape of the load and by checkout, round by round."""
    turns: Turns = {}
    for shape, plan in plans.items():
        contenders = {name: contender_of(server, plan) for name, server in servers.items()}
        for contender in contenders.values():
            contender(-1)  # warm
        turns[shape] = take_turns(contenders, plan.rounds)
        report.tell(f"{shape}: measured")
    return turns


def contender_of(server: Server, plan: Plan) -> Callable[[int], Turn]:
    return lambda number: turn_of(server, SHORT, plan, number)


def ratios(by_name: Mapping[str, Sequence[Turn]]) -> list[Ratio]:
    """Of this checkout to the other: pairs a second, and pairs by second of processor time."""
    ours, theirs = by_name.values()
    return [
        Ratio.of([turn[index] for turn in ours], [turn[index] for turn in theirs])
        for index in range(len(Turn._fields))
    ]


def tabulate(turns: Turns) -> Table:
    rows = [[shape, *map(str, ratios(by_name))] for shape, by_name in turns.items()]
    return Table(["load", "pairs/s, x the other", "pairs/core-s, x the other"], rows)


def draw(turns: Turns) -> Figure:
    figure, (panel,) = report.panels(1)
    for position, by_name in enumerate(turns.values()):
        rate = ratios(by_name)[0]
        panel.plot([rate.low, rate.high], [position, position], "C0")
        panel.plot(rate.median, position, "C0o")
    panel.axvline(1.0, color="k", linewidth=0.8)
    panel.set_yticks(range(len(turns)), list(turns))
    panel.invert_yaxis()
    panel.set_xlabel("pairs a second, x the other: the median, and the range of the rounds")
    return figure


def main() -> None:
    parser = report.flags(__doc__)
    parser.add_argument("other", type=Path, help="the folder of the other checkout")
    options = parser.parse_args()
    folders = {THIS: Path(__file__).parents[1], str(options.other): checkout(options.other)}
    with ExitStack() as stack:
        servers = {}
        for name, folder in folders.items():
            servers[name] = stack.enter_context(service.rerankd(folder=folder))
            servers[name].wait_until_ready()
            servers[name].pause()
        turns = measure(servers, QUICK if options.quick else SHAPES)
    report.publish("versions", options, {"turns": turns}, tabulate(turns), draw(turns))


if __name__ == "__main__":
    main()
