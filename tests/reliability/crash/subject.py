"""What a crash is tried on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tests.reliability.crash.shim import Mode

Done = Callable[[int], None]


class Torn(Exception):
    """What a crash left is not what it may leave."""


@contextmanager
def about(where: str) -> Iterator[None]:
    try:
        yield
    except Torn as error:
        raise Torn(f"{where}: {error}") from error


def require(sound: object, reason: str) -> None:
    if not sound:
        raise Torn(reason)


class Subject(Protocol):
    """Writes files in steps, and promises each once it is done.

    `work` goes on from whatever a crash left.
    """

    def prepare(self, root: Path) -> None: ...

    def work(self, root: Path, done: Done) -> None: ...

    def check(self, root: Path, done: int) -> int:
        """How many of the promised steps are lost. Raises Torn where a file is torn, or where
        the service would not go on.
        """
        ...

    def forgives(self, mode: Mode) -> int:
        """How many steps may be promised though they could not be written."""
        ...
