"""Charts as PNG, drawn without a screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from app.evaluation.measures.reliability import Bin
from app.evaluation.sweep import Point, by_final_k

DOTS_PER_INCH = 130


def png(figure: Figure) -> bytes:
    stream = BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(stream, format="png")
    return stream.getvalue()


def draw_sweep(points: Sequence[Point]) -> bytes:
    """Quality against latency; one panel for each final_k, one line for each model."""
    groups = by_final_k(points)
    figure = Figure(figsize=(5.2 * len(groups), 4.4), dpi=DOTS_PER_INCH, layout="constrained")
    panels = figure.subplots(1, len(groups), squeeze=False)[0]
    for panel, (final_k, group) in zip(panels, groups.items(), strict=True):
        draw_panel(panel, group)
        panel.set_title(f"final_k {final_k}")
        panel.set_ylabel(f"nDCG@{final_k}")
    return png(figure)


def draw_panel(panel: Axes, points: Sequence[Point]) -> None:
    lines: dict[str, list[Point]] = {}
    for point in points:
        if point.setting.model is None:
            quality = float(point.quality.mean())
            panel.axhline(quality, color="gray", linestyle="--", label="first stage alone")
        else:
            lines.setdefault(point.setting.model, []).append(point)
    for model, line in lines.items():
        times = [point.latency.p50 for point in line]
        qualities = [float(point.quality.mean()) for point in line]
        panel.plot(times, qualities, marker="o", label=model)
        for point, time, quality in zip(line, times, qualities, strict=True):
            panel.annotate(
                str(point.setting.initial_k),
                (time, quality),
                textcoords="offset points",
                xytext=(4, -12),
                fontsize=8,
            )
    panel.set_xlabel("milliseconds per query (p50); the numbers are initial_k")
    panel.margins(0.1)
    panel.set_xlim(left=0)
    panel.grid(alpha=0.3)
    panel.legend(fontsize=8)


def draw_reliability(curves: Mapping[str, Sequence[Bin]]) -> bytes:
    """Predicted against observed shares; below, the number of pairs at each probability."""
    figure = Figure(figsize=(6.0, 6.4), dpi=DOTS_PER_INCH, layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
    above.plot([0, 1], [0, 1], color="gray", linestyle="--", label="perfect")
    for label, bins in curves.items():
        shown = [bin_ for bin_ in bins if bin_.pairs]
        predicted, observed = [bin_.predicted for bin_ in shown], [bin_.observed for bin_ in shown]
        above.plot(predicted, observed, marker="o", label=label)
        below.step(predicted, [bin_.pairs for bin_ in shown], where="mid", label=label)
    above.set_ylabel("share of relevant pairs")
    above.grid(alpha=0.3)
    above.legend()
    below.set_yscale("log")
    below.set_ylabel("pairs")
    below.set_xlabel("probability")
    below.set_xlim(0, 1)
    return png(figure)
