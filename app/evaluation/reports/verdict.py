"""The result in one sentence."""

from __future__ import annotations

from app.evaluation.measures.bootstrap import Difference
from app.evaluation.study import Study

FEW_QUESTIONS = 30


def verdict(study: Study) -> str:
    name, change = study.main, study.differences[study.main]
    figures = (
        f"{name} goes from {study.before.mean(name):.3f} to {study.after.mean(name):.3f} "
        f"({change.mean:+.3f}, 95% interval {change.low:+.3f} to {change.high:+.3f}, "
        f"{counted(study.queries)})"
    )
    cost = f"{study.latency.p50:.0f} ms per query (p95 {study.latency.p95:.0f} ms)"
    return f"{opening(study)}: {figures}, and it costs {cost}{few(change)}."


def opening(study: Study) -> str:
    change = study.differences[study.main]
    if not change.certain:
        return f"Reranking with {study.model} makes no measurable difference on {study.data}"
    word = "helps" if change.mean > 0 else "hurts"
    return f"Reranking with {study.model} {word} on {study.data}"


def few(change: Difference) -> str:
    """The end of a sentence, if there are few questions."""
    if change.questions >= FEW_QUESTIONS:
        return ""
    count = change.questions
    subject = "1 different query is" if count == 1 else f"{count} different queries are"
    return f"; {subject} few, so measure again with more"


def counted(queries: int) -> str:
    return "1 query" if queries == 1 else f"{queries} queries"
