"""How many documents a day may go to another service, by the clock of UTC.

With a file, restarts and other processes on this machine count too; without one, a restart begins
the day anew.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

from pydantic_core import from_json, to_json

from app.durable import write_bytes

logger = logging.getLogger(__name__)

# What a file that cannot be read counts as.
SPENT_DOCUMENTS = 2**62


def utc_day() -> date:
    return datetime.now(UTC).date()


class Allowance:
    def __init__(self, limit: int, file: Path | None, today: Callable[[], date] = utc_day) -> None:
        self._limit = limit
        self._file = file
        self._today = today
        self._day, self._used = opened(file) if limit and file else (date.min, 0)
        self._warned_day = date.min
        self._lock = asyncio.Lock()

    @property
    def left(self) -> int:
        """Today's documents that may still go; 0 without a limit."""
        used = self._used if self._today() <= self._day else 0
        return max(0, self._limit - used)

    async def take(self, documents: int) -> bool:
        """Count the documents, before they go; False, and nothing is counted, if they may not."""
        if not self._limit:
            return True
        async with self._lock:
            if self._file is None:
                taken = self._take(documents)
            else:
                taken = await asyncio.to_thread(self._take_in_file, self._file, documents)
        if not taken and self._warned_day != self._day:
            self._warned_day = self._day
            fields = {"limit": self._limit, "used": self._used}
            logger.warning("fallback_documents_spent", extra={"fields": fields})
        return taken

    def _take(self, documents: int) -> bool:
        """A clock that is set back opens no day anew."""
        if (today := self._today()) > self._day:
            self._day, self._used = today, 0
        if self._used + documents > self._limit:
            return False
        self._used += documents
        return True

    def _take_in_file(self, file: Path, documents: int) -> bool:
        """One process at a time. While the file cannot be read or written, each counts alone."""
        taken: bool | None = None
        try:
            with file.with_name(f"{file.name}.lock").open("a") as guard:
                fcntl.flock(guard, fcntl.LOCK_EX)
                self._day, self._used = max((self._day, self._used), read(file))
                taken = self._take(documents)
                if taken:
                    write(file, self._day, self._used)
        except OSError as error:
            fields = {"file": str(file), "reason": error.strerror}
            logger.error("fallback_file_not_written", extra={"fields": fields})
        return self._take(documents) if taken is None else taken


def opened(file: Path) -> tuple[date, int]:
    """At the start, a file that cannot be read counts as a day that is spent too."""
    try:
        return read(file)
    except OSError as error:
        return spent(file, error)


def read(file: Path) -> tuple[date, int]:
    """A file that makes no sense counts as a day that is spent: the limit guards a bill."""
    try:
        content = file.read_bytes()
        if not content.strip():
            return date.min, 0
        kept = from_json(content)
        return date.fromisoformat(kept["day"]), max(0, int(kept["documents"]))
    except FileNotFoundError:
        return date.min, 0
    except (ValueError, KeyError, TypeError) as error:
        return spent(file, error)


def spent(file: Path, error: Exception) -> tuple[date, int]:
    fields = {"file": str(file), "reason": str(error)[:200]}
    logger.error("fallback_file_unreadable", extra={"fields": fields})
    return utc_day(), SPENT_DOCUMENTS


def write(file: Path, day: date, used: int) -> None:
    write_bytes(file, to_json({"day": day.isoformat(), "documents": used}))
