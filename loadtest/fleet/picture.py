"""The sweep as a table and as a picture."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from app.evaluation.reports.pictures import DOTS_PER_INCH
from loadtest.fleet.policies import POLICIES
from loadtest.fleet.sweep import Row
from loadtest.report import Table

HEADINGS = (
    "replicas",
    "load",
    "policy",
    "p50 s",
    "p99 s",
    "small, p99 s",
    "goodput",
    "refused",
    "failed",
)
MARKERS = "osv^"


def tabulate(rows: Sequence[Row]) -> Table:
    return Table(HEADINGS, [cells_of(row) for row in rows])


def cells_of(row: Row) -> list[str]:
    cell, outcome = row.cell, row.outcome
    return [
        str(cell.replicas),
        f"{cell.load:.0%}",
        cell.policy if cell.replicas > 1 else "any",
        f"{outcome.p50:.2f}",
        f"{outcome.p99:.2f}",
        f"{outcome.small_p99:.2f}",
        f"{outcome.goodput:.1%}",
        f"{outcome.refused:.1%}",
        f"{outcome.failed:.1%}",
    ]


def draw(rows: Sequence[Row]) -> Figure:
    loads = sorted({row.cell.load for row in rows})
    figure = Figure(figsize=(11.0, 3.6 * len(loads)), dpi=DOTS_PER_INCH, layout="constrained")
    panels = figure.subplots(len(loads), 2, squeeze=False)
    for load, (left, right) in zip(loads, panels, strict=True):
        these = [row for row in rows if row.cell.load == load]
        for policy, marker in zip(POLICIES, MARKERS, strict=True):
            line = [row for row in these if row.cell.policy == policy or row.cell.replicas == 1]
            counts = [row.cell.replicas for row in line]
            style = f"{marker}-"
            left.plot(counts, [row.outcome.small_p99 for row in line], style, label=policy)
            right.plot(counts, [row.outcome.goodput * 100 for row in line], style, label=policy)
        dress(left, f"load {load:.0%}", "p99 of small requests, seconds")
        dress(right, f"load {load:.0%}", "goodput, % of the capacity")
        right.axhline(min(load, 1.0) * 100, color="gray", linestyle="--", linewidth=0.8)
    return figure


def dress(panel: Axes, title: str, label: str) -> None:
    panel.set_title(title)
    panel.set_xscale("log")
    panel.set_xlabel("replicas")
    panel.set_ylabel(label)
    panel.set_ylim(bottom=0)
    panel.grid(alpha=0.3)
    panel.legend(fontsize=8)
