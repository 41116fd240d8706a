"""Tokens a day, by the clock of UTC, kept in a small file so that a restart forgets nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

from pydantic_core import from_json, to_json

from app.errors import LoadFailed, ServiceError

logger = logging.getLogger(__name__)


class BudgetSpent(ServiceError):
    """What is left of the day's tokens does not suffice."""


def utc_day() -> date:
    return datetime.now(UTC).date()


class Budget:
    def __init__(self, limit: int, file: Path | None, today: Callable[[], date] = utc_day) -> None:
        self._limit = limit
        self._file = file
        self._today = today
        self._held = 0  # by calls under way, as estimated
        self._day, self._spent = read(file) if limit and file is not None else (today(), 0)

    @property
    def left(self) -> int:
        self._turn_page()
        return max(0, self._limit - self._spent - self._held)

    def hold(self, tokens: int) -> None:
        if not self._limit:
            return
        if tokens > self.left:
            raise BudgetSpent("the language models' tokens for today are spent")
        self._held += tokens

    def settle(self, held: int, spent: int) -> None:
        if not self._limit:
            return
        self._turn_page()
        self._held -= held
        self._spent += spent
        if spent:
            self._write()

    def _turn_page(self) -> None:
        if (today := self._today()) != self._day:
            self._day, self._spent = today, 0

    def _write(self) -> None:
        """Aside and then renamed, so that a crash leaves the old one or the new one."""
        if self._file is None:
            return
        aside = self._file.with_name(f"{self._file.name}.new")
        try:
            aside.write_bytes(to_json({"day": self._day.isoformat(), "tokens": self._spent}))
            aside.replace(self._file)
        except OSError as error:  # the budget holds all the same until the next restart
            fields = {"file": str(self._file), "reason": error.strerror}
            logger.error("the budget could not be written", extra={"fields": fields})


def read(file: Path) -> tuple[date, int]:
    try:
        kept = from_json(file.read_bytes())
        return date.fromisoformat(kept["day"]), int(kept["tokens"])
    except FileNotFoundError:
        return date.min, 0
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LoadFailed(f"llm_budget_file {file} cannot be read as a budget") from error
