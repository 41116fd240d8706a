"""Limits the documents that are sent to another service per UTC day.

With a file, the count survives restarts and includes other processes on this machine. Without a
file, a restart resets the count.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from pydantic_core import from_json, to_json

from app.durable import write_bytes

logger = logging.getLogger(__name__)

# The count that is assumed for a file that cannot be read.
SPENT_DOCUMENTS = 2**62


def utc_day() -> date:
    return datetime.now(UTC).date()


def seconds_until_tomorrow() -> float:
    now = datetime.now(UTC)
    tomorrow = datetime.combine(now.date() + timedelta(days=1), time(), UTC)
    return (tomorrow - now).total_seconds()


class DailyDocuments:
    def __init__(self, limit: int, file: Path | None, today: Callable[[], date] = utc_day) -> None:
        self._limit = limit
        self._file = file
        self._today = today
        self._day, self._used = opened(file) if limit and file else (date.min, 0)
        self._warned_day = date.min
        self._lock = asyncio.Lock()

    @property
    def limit(self) -> int:
        """0: none."""
        return self._limit

    @property
    def left(self) -> int:
        """Documents that may still be sent today; 0 without a limit."""
        used = self._used if self._today() <= self._day else 0
        return max(0, self._limit - used)

    async def take(self, documents: int) -> bool:
        """Count the documents before they are sent. If they exceed the limit, count none and return
        False."""
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
        """If the clock is set back, the current day continues."""
        if (today := self._today()) > self._day:
            self._day, self._used = today, 0
        if self._used + documents > self._limit:
            return False
        self._used += documents
        return True

    def _take_in_file(self, file: Path, documents: int) -> bool:
        """Count in the file under a lock. If the file fails, each process counts alone."""
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
    """Read the file at startup. If it cannot be read, treat the limit of today as used up."""
    try:
        return read(file)
    except OSError as error:
        return spent(file, error)


def read(file: Path) -> tuple[date, int]:
    """Read the file. If it is invalid, treat the limit of today as used up, to avoid costs."""
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
