"""A file of SQLite, used on its own thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import TypeVar

import apsw

from app.errors import NoStore, UpstreamFailed, UpstreamTimeout
from app.retrieval.stores.sqlite_journal import (
    has_leftovers,
    has_log,
    needs_repair,
    open_to_read,
    open_to_write,
    put_away,
    transaction,
)

Answer = TypeVar("Answer")

TABLES = """
create table if not exists passages (
    place integer primary key,
    collection text not null,
    id text not null,
    text text not null,
    metadata text not null,
    unique (collection, id)
);
create virtual table if not exists words using fts5 (
    text, content = 'passages', content_rowid = 'place', tokenize = 'porter unicode61'
);
create trigger if not exists passage_added after insert on passages begin
    insert into words (rowid, text) values (new.place, new.text);
end;
create trigger if not exists passage_removed after delete on passages begin
    insert into words (words, rowid, text) values ('delete', old.place, old.text);
end;
"""

BY_KIND: dict[tuple[type[apsw.Error], ...], str] = {
    (apsw.NotADBError, apsw.CorruptError): "is damaged, or not an SQLite database",
    (apsw.CantOpenError, apsw.ReadOnlyError): "cannot be opened, or not be written",
    (apsw.BusyError, apsw.LockedError): "is locked by another process",
    (apsw.FullError, apsw.IOError): "cannot be read or written: the disk is full or failing",
}
STOPPED = (
    "was left unfinished by an ingest that was stopped, and this process may not write to its "
    "folder: run `rerankd ingest` again"
)
BY_WORDS = {
    "no such table: vectors": "has no vectors: run `rerankd ingest` with the same embedder",
    "no such table": "was not made by `rerankd ingest`",
    "imension mismatch": "has vectors of another embedder: set that one, or use another file",
}


class Database:
    """The file, on its own thread. Searching opens it read-only, and only after it exists."""

    def __init__(self, path: Path, seconds: float, *, writes: bool = False) -> None:
        self.name = "sqlite"
        self._path = path
        self._seconds = seconds
        self._writes = writes
        self._connection: apsw.Connection | None = None
        self._opened: tuple[int, int] | None = None
        self._closing = Lock()
        self._thread = ThreadPoolExecutor(1, "sqlite")

    async def run(self, work: Callable[[apsw.Connection], Answer]) -> Answer:
        future = self._thread.submit(lambda: self._work(work))
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise UpstreamTimeout(
                f"sqlite did not answer within {self._seconds * 1000:.0f} ms", upstream="sqlite"
            ) from error
        except apsw.Error as error:
            raise self._failure(error) from error
        finally:
            # Work without a waiting caller would only delay the next search.
            if not future.done() and not future.cancel():
                self._interrupt()

    def _work(self, work: Callable[[apsw.Connection], Answer]) -> Answer:
        connection = self._to_write() if self._writes else self._to_read()
        try:
            return work(connection)
        finally:
            # At its end, an ingest cannot put the file away while a search holds the log.
            if not self._writes and has_log(self._path):
                self._let_go()

    def _to_write(self) -> apsw.Connection:
        if self._connection is None:
            connection = open_to_write(self._path, self._seconds)
            try:
                with transaction(connection):
                    connection.execute(TABLES)
            except apsw.Error:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _to_read(self) -> apsw.Connection:
        current = self._current_file()
        if self._connection is None or current != self._opened or has_leftovers(self._path):
            self._let_go()
            self._connection, self._opened = open_to_read(self._path, self._seconds), current
            self._refuse_empty(self._connection)
        return self._connection

    def _refuse_empty(self, connection: apsw.Connection) -> None:
        """A first ingest that is killed early leaves an empty file."""
        if not connection.execute("select 1 from sqlite_master limit 1").fetchall():
            self._let_go()
            raise NoStore(
                f"sqlite: {self._path.name} is empty: `rerankd ingest` fills it", upstream="sqlite"
            )

    def _interrupt(self) -> None:
        with self._closing:
            if self._connection is not None:
                self._connection.interrupt()

    def _let_go(self, close: Callable[[apsw.Connection], None] = apsw.Connection.close) -> None:
        """A connection is never interrupted while it closes: SQLite would read freed memory."""
        with self._closing:
            connection, self._connection = self._connection, None
        if connection is not None:
            close(connection)

    def _current_file(self) -> tuple[int, int]:
        """Which file has the name now: it may have been replaced by another."""
        try:
            status = self._path.stat()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NoStore(
                f"sqlite: there is no {self._path.name} yet: `rerankd ingest` makes it",
                upstream="sqlite",
            ) from error
        return status.st_dev, status.st_ino

    def _failure(self, error: apsw.Error) -> UpstreamFailed:
        unopened = isinstance(error, apsw.CantOpenError | apsw.ReadOnlyError)
        reason = STOPPED if unopened and needs_repair(self._path) else reason_of(error)
        return UpstreamFailed(f"sqlite: {self._path.name} {reason}", upstream="sqlite")

    async def close(self) -> None:
        """Returns after the written file is put away."""
        self._interrupt()
        close = put_away if self._writes else apsw.Connection.close
        last = self._thread.submit(self._let_go, close)
        self._thread.shutdown(wait=False)
        if self._writes:
            await asyncio.wrap_future(last)


def reason_of(error: apsw.Error) -> str:
    """The end of a sentence. The library's own text is not used: it may quote the query."""
    for kinds, reason in BY_KIND.items():
        if isinstance(error, kinds):
            return reason
    for words, reason in BY_WORDS.items():
        if words in str(error):
            return reason
    return f"failed with {type(error).__name__}"
