"""Sorts the lines of logs and feedback files into the two periods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from app.evaluation.data.reading import read_lines
from app.evaluation.drift.feedback import is_feedback, read_feedback
from app.evaluation.drift.log_lines import is_log, read_log, read_object
from app.evaluation.drift.period import Judgement, Period, Request, Started
from app.evaluation.drift.times import Window
from app.evaluation.problems import BadInput

Entry = Request | Started | Judgement
Windows = tuple[Window, Window]
# Of a file whose kind is not clear yet.
MAX_LINES_TO_TELL = 10_000


def collect(files: Sequence[Path], windows: Windows | None, route: str) -> tuple[Period, Period]:
    """With `windows`, each entry belongs to the period of its time; else the first file is the
    period before, and the second the period after."""
    sorted_windows = windows or (Window(), Window())
    periods = Period(), Period()
    for number, path in enumerate(files):
        entries = read_source(path, route)
        if windows is None:
            fill(periods[number : number + 1], sorted_windows[:1], entries)
        else:
            fill(periods, sorted_windows, entries)
    return periods


def fill(periods: Sequence[Period], windows: Sequence[Window], entries: Iterator[Entry]) -> None:
    loaded: list[Started] = []
    for entry in entries:
        if isinstance(entry, Started):
            loaded.append(entry)
            continue
        for period, window in zip(periods, windows, strict=True):
            if entry.time not in window:
                continue
            if isinstance(entry, Request):
                period.take(entry)
            else:
                period.take_judgement(entry)
    for period, window in zip(periods, windows, strict=True):
        period.cards += cards_of(loaded, window)


def cards_of(loaded: Sequence[Started], window: Window) -> Iterator[dict[str, object]]:
    """Of the models that were loaded in this time, and of the one that ran at its start."""
    earlier = [each for each in loaded if each.time < window.start]
    latest = sorted(earlier, key=lambda each: each.time)[-1:]
    for each in (*latest, *(each for each in loaded if each.time in window)):
        yield dict(each.card)


def read_source(path: Path, route: str) -> Iterator[Entry]:
    """The kind of a file is that of the first line that has one."""
    if not path.exists():
        raise BadInput(path, None, "does not exist")
    lines = (line for _, line in read_lines(path, torn=True))
    head: list[str] = []
    for line in lines:
        head.append(line)
        value = read_object(line)
        if value is not None and is_feedback(value):
            yield from read_feedback(path)
            return
        if value is not None and is_log(value):
            yield from read_log(chain(head, lines), route)
            return
        if len(head) == MAX_LINES_TO_TELL:
            break
    if head:
        raise BadInput(path, None, "has neither log lines of the service, as JSON, nor feedback")
