"""Moments, durations and periods, as a user writes them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from math import inf
from typing import NamedTuple

DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
BETWEEN = ".."


class Window(NamedTuple):
    """Seconds since 1970. The end is exclusive."""

    start: float = -inf
    end: float = inf

    def __contains__(self, moment: object) -> bool:
        return isinstance(moment, float) and self.start <= moment < self.end


def parse_duration(text: str) -> float:
    match = DURATION.fullmatch(text.strip())
    if match is None or not float(match[1]):
        raise ValueError(f"{text!r} is not a duration such as 30m, 12h, 7d or 2w")
    return float(match[1]) * SECONDS[match[2]]


def parse_moment(text: str, now: float) -> float:
    """A date, a date with a time (UTC if it names no zone), `now`, or a duration before now."""
    text = text.strip()
    if text == "now":
        return now
    if DURATION.fullmatch(text):
        return now - parse_duration(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(
            f"{text!r} is neither a date (2026-11-20, 2026-11-20T06:00) "
            "nor a time before now (7d, 12h, now)"
        ) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def parse_window(text: str, now: float) -> Window:
    start, between, end = text.partition(BETWEEN)
    if not between:
        raise ValueError(f"{text!r} is not a period such as 14d..7d or 2026-11-01..2026-11-08")
    window = Window(parse_moment(start, now), parse_moment(end, now))
    if window.start >= window.end:
        raise ValueError(f"{text!r} ends before it starts")
    return window


def shown(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(sep=" ", timespec="minutes")[:16]
