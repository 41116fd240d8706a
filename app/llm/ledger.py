"""The file of a day's tokens: small, whole at every moment, and shared by processes.

Each change reads, adds and writes under a lock. The new content is written to a file beside it,
synced and renamed, and the folder is synced too, so that a crash or a power cut leaves either the
old state or the new one.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from app.durable import write_bytes

# A change takes milliseconds; a process that holds the lock for longer is stopped or broken.
LOCK_SECONDS = 2.0
LOCK_POLL_SECONDS = 0.01
# Some network file systems have no locks.
LOCK_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
# How each file that was written here begins.
FILE_START = b'{"day":"'


class Torn(ValueError):
    """A file of ours that lost its end, or all of it: the spending is unknown."""


class Foreign(ValueError):
    """Another kind of file, which must not be overwritten."""


@dataclass(frozen=True, slots=True)
class Page:
    """The tokens of a day: spent, or held by calls under way."""

    day: date
    tokens: int

    def turned(self, today: date) -> Page:
        """A clock that is set back returns no tokens: the later day stays."""
        return Page(today, 0) if today > self.day else self

    def plus(self, tokens: int) -> Page:
        return Page(self.day, max(0, self.tokens + tokens))


EMPTY = Page(date.min, 0)


def parse(raw: bytes) -> Page:
    # Some file systems leave zeros after a power cut.
    text = raw.strip(b"\0 \r\n")
    try:
        content: Any = from_json(text)
        page = Page(date.fromisoformat(content["day"]), content["tokens"])
    except (ValueError, KeyError, TypeError) as error:
        lost_its_end = text.startswith(FILE_START) and not text.endswith(b"}")
        if lost_its_end or FILE_START.startswith(text):
            raise Torn("torn") from error
        raise Foreign("no budget") from error
    if isinstance(page.tokens, bool) or not isinstance(page.tokens, int) or page.tokens < 0:
        raise Foreign("no budget")
    return page


def read(file: Path) -> Page | None:
    """None where there is no file."""
    try:
        return parse(file.read_bytes())
    except FileNotFoundError:
        return None


def write(file: Path, page: Page) -> None:
    """Call it under the lock: the file beside it always has the same name."""
    write_bytes(file, to_json({"day": page.day.isoformat(), "tokens": page.tokens}))


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Locks out other processes and threads, by a file beside it: the file itself is replaced."""
    beside = file.with_name(f"{file.name}.lock")
    handle = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + LOCK_SECONDS
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(LOCK_POLL_SECONDS)
            except OSError as error:
                if error.errno not in LOCK_UNSUPPORTED:
                    raise
                break
        yield
    finally:
        os.close(handle)
