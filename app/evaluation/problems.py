"""What can go wrong while measuring; every message is one sentence for the user.

Problem
├── BadInput        a file that cannot be used: names the file and the line
├── NotMeasurable   the data is well-formed, but says too little
└── ServerFailed    the service by URL does not answer as it should
"""

from __future__ import annotations

from pathlib import Path


class Problem(Exception):
    """Base of all that is told in one sentence, without a traceback."""


class BadInput(Problem):
    def __init__(self, path: Path, line: int | None, reason: str) -> None:
        where = str(path) if line is None else f"{path}, line {line}"
        super().__init__(f"{where}: {reason}")
        self.path = path
        self.line = line


class NotMeasurable(Problem):
    """No relevant document, too few queries, one class only."""


class ServerFailed(Problem):
    """Not reachable, refuses for good, or gives an answer that cannot be read."""
