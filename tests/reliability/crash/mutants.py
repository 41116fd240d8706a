"""Programs with one fault each. A suite that finds none of it would prove nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw
from pydantic_core import to_json

from app.answer.feedback import FeedbackLost
from app.errors import LoadFailed
from app.evaluation import writing
from app.evaluation.problems import BadInput
from app.retrieval.stores import sqlite_file, sqlite_journal
from tests.reliability.crash.subjects import BudgetFile, FeedbackRows

opened_to_write = sqlite_journal.open_to_write


@dataclass(frozen=True, slots=True)
class Mutant:
    subject: str
    apply: Callable[[], None]


def no_fsync() -> None:
    os.fsync = os.fdatasync = lambda fd: None


def no_sync_of_the_store() -> None:
    def open_to_write(path: Path, seconds: float) -> apsw.Connection:
        connection = opened_to_write(path, seconds)
        connection.execute("pragma synchronous = off")
        return connection

    setattr(sqlite_file, "open_to_write", open_to_write)  # noqa: B010 (it is not exported there)


def no_log() -> None:
    """As it was at first: a journal, which a reader cannot roll back."""

    def open_to_write(path: Path, seconds: float) -> apsw.Connection:
        return sqlite_journal.connect(path, sqlite_journal.TO_WRITE, seconds)

    def open_to_read(path: Path, seconds: float) -> apsw.Connection:
        return sqlite_journal.connect(path, sqlite_journal.TO_READ, seconds)

    setattr(sqlite_file, "open_to_write", open_to_write)  # noqa: B010
    setattr(sqlite_file, "open_to_read", open_to_read)  # noqa: B010


def no_transaction() -> None:
    """Each row for itself: a chunk's words and its passage are no longer one step."""
    original = sqlite_journal.connect

    def connect(path: Path, flags: int, seconds: float) -> apsw.Connection:
        connection = original(path, flags, seconds)
        connection.execute("pragma journal_mode = off; pragma synchronous = off")
        return connection

    sqlite_journal.connect = connect
    sqlite_journal.set_journal_mode = lambda connection, mode, seconds: None


def overwrite() -> None:
    writing.write_bytes = overwritten


def overwritten(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise BadInput(path, None, "cannot be written") from error


class GluedFeedback:
    """What the first version did: a row goes where the last one ended, torn or not."""

    def __init__(self, file: Path, clock: Callable[[], float]) -> None:
        self._file = file
        self._answers: dict[str, Any] = {}

    def remember(self, name: str, answer: Any) -> None:
        self._answers[name] = answer

    async def take(self, name: str, verdict: Any) -> None:
        texts = [{"id": "a", "text": "A book " * 200}, {"id": "b", "text": "A film."}]
        query = self._answers[name].question.text
        row = {"id": query, "query": query, "documents": texts, "relevant": ["a"]}
        try:
            with self._file.open("ab") as lines:
                lines.write(to_json(row) + b"\n")
                lines.flush()
                os.fsync(lines.fileno())
        except OSError as error:
            raise FeedbackLost("lost") from error


class PlainBudget:
    """Aside and renamed, but never on the disk before that."""

    def __init__(self, limit: int, file: Path) -> None:
        self._limit = limit
        self._file = file
        try:
            self._spent = json.loads(file.read_bytes())["tokens"] if file.exists() else 0
        except ValueError as error:
            raise LoadFailed("the file is no budget") from error

    @property
    def left(self) -> int:
        return self._limit - int(self._spent)

    def hold(self, tokens: int) -> None:
        pass

    def settle(self, held: int, spent: int) -> None:
        self._spent += spent
        self._write(to_json({"day": datetime.now(UTC).date(), "tokens": self._spent}))

    def _write(self, content: bytes) -> None:
        aside = self._file.with_suffix(".new")
        aside.write_bytes(content)
        aside.replace(self._file)


class OverwritingBudget(PlainBudget):
    def _write(self, content: bytes) -> None:
        with self._file.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def feedback_is(kind: type[Any]) -> Callable[[], None]:
    return lambda: setattr(FeedbackRows, "opens", kind)


def budget_is(kind: type[Any]) -> Callable[[], None]:
    return lambda: setattr(BudgetFile, "opens", kind)


MUTANTS = {
    "fit without fsync": Mutant("fit", no_fsync),
    "fit overwritten": Mutant("fit", overwrite),
    "trained without fsync": Mutant("trained", no_fsync),
    "feedback glued": Mutant("feedback", feedback_is(GluedFeedback)),
    "budget without fsync": Mutant("budget", budget_is(PlainBudget)),
    "budget overwritten": Mutant("budget", budget_is(OverwritingBudget)),
    "store without fsync": Mutant("ingest", no_sync_of_the_store),
    "store without log": Mutant("ingest", no_log),
    "store without transactions": Mutant("ingest", no_transaction),
}
