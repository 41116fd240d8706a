"""JSON lines: a value a line, and errors that name the line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pydantic_core import from_json


class NotJson(ValueError):
    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"not valid JSON: {reason}")
        self.line = line


def read_values(
    lines: Iterable[tuple[int, str]],
    on_cut_off: Callable[[NotJson], None] | None = None,
) -> Iterator[tuple[int, Any]]:
    """The value of each line that is not blank, with the number of its line.

    A process that is killed leaves a line that ends too early: `on_cut_off` takes the error.
    """
    for number, line in lines:
        if not line.strip():
            continue
        try:
            value = from_json(line)
        except ValueError as error:
            problem = NotJson(number, str(error))
            if on_cut_off is None or not str(error).startswith("EOF while parsing"):
                raise problem from error
            on_cut_off(problem)
        else:
            yield number, value
