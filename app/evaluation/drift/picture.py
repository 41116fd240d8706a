"""Both periods in one picture: the distributions, and the changes with their intervals."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from app.evaluation.drift.judging import Finding
from app.evaluation.drift.quantity import Pair
from app.evaluation.drift.report import WORDS, verdict
from app.evaluation.drift.study import DriftStudy
from app.evaluation.reports.pictures import DOTS_PER_INCH, png

PANEL_WIDTH, HEIGHT = 5.2, 4.4
BEFORE, AFTER = "#0072b2", "#d55e00"


def draw_drift(study: DriftStudy) -> bytes:
    distributions = [each for each in study.findings if each.quantity.shares is not None]
    others = [each for each in study.findings if each.quantity.shares is None]
    count = max(1, len(distributions) + bool(others))
    figure = Figure(figsize=(PANEL_WIDTH * count, HEIGHT), dpi=DOTS_PER_INCH, layout="constrained")
    panels = figure.subplots(1, count, squeeze=False)[0]
    for panel, finding in zip(panels, distributions, strict=False):
        draw_distribution(panel, finding)
    if others:
        draw_changes(panels[-1], others)
    figure.suptitle(verdict(study))
    return png(figure)


def draw_distribution(panel: Axes, finding: Finding) -> None:
    """The cumulative shares, and where they differ most."""
    quantity, change = finding.quantity, finding.change
    pair = quantity.shares or Pair(*quantity.means)
    for label, clusters, color in zip(("before", "after"), pair, (BEFORE, AFTER), strict=True):
        if clusters.count:
            panel.step(quantity.edges, clusters.means, where="post", label=label, color=color)
    if change is not None:
        position = change.largest
        ends = [float(clusters.means[position]) for clusters in pair]
        at = [float(quantity.edges[position])] * 2
        text = f"{finding.size:.3f} (chance {change.chance:.3f})"
        panel.plot(at, ends, color="black", linewidth=2, label=f"largest difference {text}")
    panel.set_title(f"{quantity.title}: {WORDS[finding.state]}")
    panel.set_xlabel(quantity.title)
    panel.set_ylabel("share at or below")
    panel.set_ylim(0, 1)
    panel.grid(alpha=0.3)
    if panel.get_legend_handles_labels()[0]:
        panel.legend(fontsize=8)


def draw_changes(panel: Axes, findings: Sequence[Finding]) -> None:
    """Changes of means with their 95% intervals; in gray, changes too small to matter."""
    titles = []
    for position, finding in enumerate(findings):
        word = WORDS[finding.state] if finding.quantity.decides else "reported only"
        titles.append(f"{finding.quantity.title}\n{word}")
        panel.barh(position, 2 * finding.limit, left=-finding.limit, color="#8884", height=0.6)
        if finding.mean is None:
            continue
        change = float(finding.mean.differences[0])
        low, high = finding.mean.low, finding.mean.high
        panel.plot([low, high], [position, position], color=AFTER)
        panel.plot([change], [position], marker="o", color=AFTER)
    panel.axvline(0, color="gray", linestyle="--")
    panel.set_yticks(range(len(titles)), titles)
    panel.set_ylim(len(titles) - 0.5, -0.5)
    panel.locator_params(axis="x", nbins=5)
    panel.set_xlabel("change, with 95% interval")
    panel.grid(alpha=0.3, axis="x")
