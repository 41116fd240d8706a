"""docs/reference/log-events.md lists the events that the service logs, and no others."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.docs.reference import REFERENCE, ROOT

APP = ROOT / "app"
# Its progress is for whoever makes the bundled model, and is no log of the service.
RECIPE = APP / "training" / "bundled"
KEY = re.compile(r"[a-z]+(_[a-z]+)*")


def calls(path: Path) -> Iterator[tuple[str, str]]:
    """Event and level of each line that a file logs; the level is empty if it varies."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="logger"), attr="log"), args=[_, event, *_]
            ):
                yield ast.literal_eval(event), ""
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="logger" | "log"), attr=method),
                args=[event, *_],
            ):
                yield ast.literal_eval(event), "error" if method == "exception" else method
            case ast.Call(func=ast.Attribute(attr="_event"), args=[event, *_]):
                yield ast.literal_eval(event), ""
            case _:
                pass


def logged() -> set[tuple[str, str]]:
    files = [path for path in APP.rglob("*.py") if RECIPE not in path.parents]
    return {call for path in files for call in calls(path)}


def documented() -> dict[str, str]:
    page = (REFERENCE / "log-events.md").read_text()
    return dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", page, re.MULTILINE))


def test_every_event_has_a_key_that_can_be_searched_for() -> None:
    assert [event for event, _ in logged() if not KEY.fullmatch(event)] == []


def test_every_event_that_is_logged_has_a_row_and_the_other_way_round() -> None:
    assert {event for event, _ in logged()} == set(documented())


def test_the_page_has_the_level_of_each_event() -> None:
    rows = documented()
    assert {event: rows[event] for event, level in logged() if level not in rows[event]} == {}


def test_the_rows_are_in_alphabetical_order() -> None:
    assert list(documented()) == sorted(documented())
