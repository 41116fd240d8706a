"""A sweep as rows: for the terminal, for JSON, for a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from app.evaluation.sweep import Point

HEADINGS = (
    "final_k",
    "model",
    "initial_k",
    "nDCG",
    "gain",
    "95% interval",
    "MRR",
    "recall",
    "p50 ms",
    "p95 ms",
)
NONE = "-"
LEFT_ALIGNED_COLUMNS = (1, 5)


def cells(point: Point) -> tuple[str, ...]:
    model, initial_k, final_k = point.setting
    means = point.measured.means
    alone = model is None
    return (
        str(final_k),
        model or "first stage alone",
        NONE if alone else str(initial_k),
        f"{means[f'nDCG@{final_k}']:.4f}",
        NONE if alone else f"{point.gain.mean:+.4f}",
        NONE if alone else f"{point.gain.low:+.4f} to {point.gain.high:+.4f}",
        f"{means[f'MRR@{final_k}']:.4f}",
        f"{means[f'recall@{final_k}']:.4f}",
        NONE if alone else f"{point.latency.p50:.1f}",
        NONE if alone else f"{point.latency.p95:.1f}",
    )


def as_text(points: Sequence[Point]) -> str:
    rows = [HEADINGS, *(cells(point) for point in points)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in LEFT_ALIGNED_COLUMNS else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def as_json(points: Sequence[Point]) -> list[dict[str, Any]]:
    return [
        {
            "model": point.setting.model,
            "initial_k": point.setting.initial_k or None,
            "final_k": point.setting.final_k,
            "measures": point.measured.means,
            "gain": point.gain._asdict(),
            "latency_ms": asdict(point.latency),
        }
        for point in points
    ]
