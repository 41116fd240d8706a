"""Tokens per UTC day, kept in a small file so that a restart forgets nothing.

The most that a call may take is held in the file before the call, and corrected after it. So
processes that share the file keep the limit together, and a process that is killed leaves too many
tokens counted rather than too few.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TypeVar

from app.errors import LoadFailed, ServiceError
from app.llm import ledger
from app.llm.ledger import EMPTY, Page

TORN = (
    "today's tokens count as spent, and answers are extracted until midnight (UTC); to restart "
    "the day, delete the file and restart the service"
)
AHEAD = (
    "tokens count for the day of the file until it has passed; to restart the count, delete the "
    "file and restart the service"
)

Result = TypeVar("Result")
# Pure: it may be tried on two pages.
Change = Callable[[Page], tuple[Page, Result]]

logger = logging.getLogger(__name__)


class BudgetSpent(ServiceError):
    """Too few of the day's tokens are left."""


@dataclass(frozen=True, slots=True)
class BudgetHold:
    """Tokens of a day that a call under way may take."""

    day: date
    tokens: int


def utc_day() -> date:
    return datetime.now(UTC).date()


class Budget:
    def __init__(self, limit: int, file: Path | None, today: Callable[[], date] = utc_day) -> None:
        self._limit = limit
        self._file = file if limit else None
        self._today = today
        self._page = EMPTY if self._file is None else opened(self._file, limit, today())
        # Tokens that are counted here alone, while the file cannot be written.
        self._unwritten = 0
        self._failing = False
        self._changing = asyncio.Lock()

    @property
    def left(self) -> int:
        """As of our last change: other processes may have taken some since then."""
        return max(0, self._limit - self._page.turned(self._today()).tokens)

    async def hold(self, tokens: int) -> BudgetHold:
        """Room for a call, or BudgetSpent. A caller that is cancelled here holds nothing."""
        if not self._limit:
            return BudgetHold(date.min, 0)
        taking = asyncio.ensure_future(self._change(lambda page: self._held(page, tokens)))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            await asyncio.wait([taking])
            if taking.exception() is None:
                await self.settle(taking.result(), 0)
            raise

    async def settle(self, hold: BudgetHold, spent: int) -> None:
        """Count what was spent instead of what was held, even if the caller is cancelled."""
        if self._limit:
            change = self._change(lambda page: self._settled(page, hold, spent))
            await asyncio.shield(asyncio.ensure_future(change))

    def _held(self, page: Page, tokens: int) -> tuple[Page, BudgetHold]:
        page = page.turned(self._today())
        if tokens > self._limit - page.tokens:
            raise BudgetSpent("the language models' tokens for today are spent")
        return page.plus(tokens), BudgetHold(page.day, tokens)

    def _settled(self, page: Page, hold: BudgetHold, spent: int) -> tuple[Page, None]:
        """Over midnight, what was held is on yesterday's page."""
        page = page.turned(self._today())
        return page.plus(spent - (hold.tokens if hold.day == page.day else 0)), None

    async def _change(self, change: Change[Result]) -> Result:
        if self._file is None:
            return self._change_here(change)
        async with self._changing:
            return await asyncio.to_thread(self._change_file, self._file, change)

    def _change_here(self, change: Change[Result]) -> Result:
        page, result = change(self._page)
        before = self._page.tokens - self._unwritten if page.day == self._page.day else 0
        self._page, self._unwritten = page, page.tokens - before
        return result

    def _change_file(self, file: Path, change: Change[Result]) -> Result:
        """In a thread, one at a time: waiting for the disk, or the lock, must not stop the loop."""
        try:
            with ledger.locked(file):
                before = self._merged(file)
                page, result = change(before)
                if page != before:
                    ledger.write(file, page)
        except (OSError, ledger.Foreign) as error:
            self._report(file, error)
            return self._change_here(change)
        self._page, self._unwritten, self._failing = page, 0, False
        return result

    def _merged(self, file: Path) -> Page:
        """The page of the file, plus what could not be written to it; or our own page."""
        try:
            kept = ledger.read(file)
        except ledger.Torn:
            kept = None
        if kept is None or kept.day < self._page.day:
            return self._page
        return kept.plus(self._unwritten) if kept.day == self._page.day else kept

    def _report(self, file: Path, error: Exception) -> None:
        """Log the first failure of a series: the limit holds, but a restart would forget."""
        if not self._failing:
            reason = error.strerror if isinstance(error, OSError) else "it holds something else"
            fields = {"file": str(file), "reason": reason}
            logger.error("budget_file_not_written", extra={"fields": fields})
        self._failing = True


def opened(file: Path, limit: int, today: date) -> Page:
    """The page to begin with.

    If the file has lost its content, the spending is unknown. The day then counts as spent: keeping
    a limit on money matters more than writing answers, and extracts are given until midnight.
    """
    fields = {"file": str(file)}
    try:
        page = ledger.read(file)
    except ledger.Torn:
        page = Page(today, limit)
        logger.error("budget_file_torn", extra={"fields": fields | {"hint": TORN}})
        with suppress(OSError), ledger.locked(file):
            ledger.write(file, page)
    except (OSError, ledger.Foreign) as error:
        raise LoadFailed(f"llm_budget_file {file} cannot be read as a budget") from error
    if page is not None and page.day > today:
        fields |= {"day": page.day.isoformat(), "hint": AHEAD}
        logger.warning("clock_behind_budget_file", extra={"fields": fields})
    return page or EMPTY
