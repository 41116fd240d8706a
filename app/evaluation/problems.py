"""Errors of an evaluation; each message is one sentence for the user.

Problem
├── BadInput        a file that cannot be used: names the file and the line
├── NotMeasurable   the data is well-formed, but too small or one-sided
└── ServerFailed    the service at the URL does not answer correctly
"""

from __future__ import annotations

from pathlib import Path


class Problem(Exception):
    """Base of the errors that are shown as one sentence, without a traceback."""


class BadInput(Problem):
    def __init__(self, path: Path, line: int | None, reason: str) -> None:
        where = str(path) if line is None else f"{path}, line {line}"
        super().__init__(f"{where}: {reason}")
        self.path = path
        self.line = line


class NotMeasurable(Problem):
    """No relevant document, too few queries, one class only."""


class ServerFailed(Problem):
    """Not reachable, refuses after all retries, or sends a response that cannot be read."""
