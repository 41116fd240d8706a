"""A result, told three times: a table on the screen, JSON for programs, a picture."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from app.evaluation.reports.pictures import DOTS_PER_INCH, png
from app.evaluation.writing import write_bytes, write_json
from loadtest import machine

RESULTS = Path(__file__).parents[1] / ".cache" / "loadtest" / "results"


@dataclass(frozen=True, slots=True)
class Table:
    """Printed as Markdown, so that it can be pasted into a page. The first column is text."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        lines = [self.headings, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.headings))]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        return "\n".join(
            "| "
            + " | ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
            + " |"
            for line in (self.headings, rule, *self.rows)
        )


def flags(doc: str | None) -> argparse.ArgumentParser:
    """What every test here takes."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="about a minute: does it work?")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for JSON and picture")
    parser.set_defaults(where=machine.describe())  # before anything of ours runs on it
    # So that the servers which were started are stopped too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return parser


def panels(count: int) -> tuple[Figure, list[Axes]]:
    """A picture with panels side by side."""
    figure = Figure(figsize=(5.6 * count, 4.4), dpi=DOTS_PER_INCH, layout="constrained")
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def tell(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


def publish(
    name: str, options: argparse.Namespace, results: dict[str, Any], table: Table, drawn: Figure
) -> None:
    """Print the table, write NAME.json and NAME.png."""
    where, out = options.where, options.out
    command = shlex.join(["python", "-m", f"loadtest.{name}", *sys.argv[1:]])
    print(f"{command}\n{machine.sentence(where)}\n\n{table}\n")
    record = {"test": name, "command": command, "machine": where, **results}
    write_json(out / f"{name}.json", record)
    write_bytes(out / f"{name}.png", png(drawn))
    print(f"{out / name}.json and .png written")
