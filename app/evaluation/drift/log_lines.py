"""Reads what the service logged, as JSON lines, also as collectors wrap them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from pydantic_core import from_json

from app.evaluation.drift.period import Request, Started

# Of Docker's json-file, of journalctl -o json, and of several collectors.
WRAPPED_IN = ("log", "MESSAGE", "message", "line")
EVENTS = ("request", "ready", "engine_replaced")
OK = 200


def read_object(line: str) -> dict[str, Any] | None:
    """The JSON object in a line, whatever stands before it, or None."""
    start = line.find("{")
    if start < 0:
        return None
    try:
        value = from_json(line[start:])
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    if "event" not in value:
        wrapped = next((value[key] for key in WRAPPED_IN if key in value), None)
        if isinstance(wrapped, str):
            return read_object(wrapped)
    return value


def is_log(value: dict[str, Any]) -> bool:
    return isinstance(value.get("event"), str) and isinstance(value.get("time"), str)


def read_log(lines: Iterable[str], route: str = "") -> Iterator[Request | Started]:
    """Only what concerns rankings and answers; `route`: of this route only."""
    for line in lines:
        if not any(event in line for event in EVENTS):
            continue  # parsing costs most of the time
        value = read_object(line)
        if value is None or not is_log(value):
            continue
        if (entry := read_entry(value)) is None:
            continue
        if isinstance(entry, Started) or route in ("", entry.route):
            yield entry


def read_entry(value: dict[str, Any]) -> Request | Started | None:
    try:
        time = datetime.fromisoformat(value["time"]).timestamp()
    except ValueError:
        return None
    if value["event"] in ("ready", "engine_replaced"):
        return Started(time, value)
    if value["event"] != "request" or value.get("status") != OK:
        return None
    outcome = value.get("answer")
    # A ranking has a number of documents, an answer a number of candidates.
    documents = value.get("documents", value.get("retrieved"))
    if not isinstance(documents, int):
        return None
    return Request(
        time,
        str(value.get("route")),
        str(value.get("model") or ""),
        number(value.get("top_score")),
        number(value.get("score_gap")),
        documents,
        outcome if isinstance(outcome, str) else "",
    )


def number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
