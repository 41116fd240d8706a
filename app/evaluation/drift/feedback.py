"""Reads the feedback file of the service as verdicts with a time and a ranking."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from app.evaluation.data.lists import last_verdicts
from app.evaluation.data.reading import Row
from app.evaluation.drift.period import Judgement


def is_feedback(value: dict[str, Any]) -> bool:
    return "useful" in value and isinstance(value.get("answer"), str)


def read_feedback(path: Path) -> Iterator[Judgement]:
    """The last verdict on each answer."""
    for row in last_verdicts(path):
        if not is_feedback(row.fields):
            raise row.bad("is no line of feedback, unlike the lines before it")
        yield read_judgement(row)


def read_judgement(row: Row) -> Judgement:
    documents = [name_of(row, document) for document in row.items("documents")]
    return Judgement(
        time=read_time(row),
        question=row.text("query"),
        useful=row.fields["useful"] == "up",
        outcome=str(row.fields.get("outcome") or ""),
        relevant=[str(name) for name in row.items("relevant")],
        order=read_order(row, documents),
        model=str(row.fields.get("model") or ""),
        scores=[float(score) for score in row.fields.get("scores") or ()],
    )


def name_of(row: Row, document: object) -> str:
    if not isinstance(document, dict):
        raise row.bad("documents must be objects with an id")
    return Row(row.path, row.line, document).label("id")


def read_time(row: Row) -> float:
    try:
        return datetime.fromisoformat(row.text("at")).timestamp()
    except ValueError as error:
        raise row.bad("at must be a date with a time") from error


def read_order(row: Row, documents: list[str]) -> list[str] | None:
    """The ids in the order of the reranker; those that it could not score are not in it."""
    if not row.fields.get("ranking"):
        return None
    ranking = row.items("ranking")
    valid = all(type(position) is int and 0 <= position < len(documents) for position in ranking)
    if not valid or len(set(ranking)) < len(ranking):
        raise row.bad("ranking must hold different positions in documents, counted from 0")
    return [documents[position] for position in ranking]
