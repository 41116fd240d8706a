"""The effect of fine-tuning, on queries outside the training data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.evaluation.measures.bootstrap import Difference, difference
from app.evaluation.reports.verdict import counted, few
from app.evaluation.study import Study


def changes(before: Study, after: Study, seed: int) -> dict[str, Difference]:
    return {
        name: difference(values, after.after.values[name], before.after.alike, seed)
        for name, values in before.after.values.items()
    }


def as_text(before: Study, after: Study, seed: int) -> str:
    by_measure = changes(before, after, seed)
    lines = [f"{'':12}{'first stage':>12}{'before':>10}{'after':>10}{'change':>10}   95% interval"]
    lines += [
        f"{name:12}{before.before.mean(name):12.4f}{before.after.mean(name):10.4f}"
        f"{after.after.mean(name):10.4f}{change.mean:+10.4f}"
        f"   {change.low:+.4f} to {change.high:+.4f}"
        for name, change in by_measure.items()
    ]
    return "\n".join([*lines, "", sentence(before, after, by_measure[before.main])])


def sentence(before: Study, after: Study, change: Difference) -> str:
    name = before.main
    effect = "makes no measurable difference"
    if change.certain:
        effect = "helps" if change.mean > 0 else "hurts: keep the original model"
    return (
        f"Fine-tuning {effect} on {before.data}: {name} goes from {before.after.mean(name):.3f} "
        f"to {after.after.mean(name):.3f} ({change.mean:+.3f}, 95% interval {change.low:+.3f} to "
        f"{change.high:+.3f}, {counted(before.queries)} held out){few(change)}."
    )


def as_json(before: Study, after: Study, checks: Sequence[float], seed: int) -> dict[str, Any]:
    by_measure = changes(before, after, seed)
    return {
        "data": before.data,
        "model_before": before.model,
        "model_after": after.model,
        "test_queries": before.queries,
        "initial_k": before.initial_k,
        "verdict": sentence(before, after, by_measure[before.main]),
        "validation_ndcg": list(checks),
        "measures": {
            name: {
                "first_stage": before.before.mean(name),
                "before": before.after.mean(name),
                "after": after.after.mean(name),
                **change._asdict(),
            }
            for name, change in by_measure.items()
        },
    }
