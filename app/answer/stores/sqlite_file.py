"""A file of SQLite, asked on a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import apsw
import sqlite_vec

from app.errors import NoStore, UpstreamFailed, UpstreamTimeout

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
    (apsw.NotADBError, apsw.CorruptError): "is no sound SQLite database",
    (apsw.CantOpenError, apsw.ReadOnlyError): "cannot be opened, or not be written",
    (apsw.BusyError, apsw.LockedError): "is locked by another process",
    (apsw.FullError, apsw.IOError): "cannot be read or written: the disk is full or failing",
}
BY_WORDS = {
    "no such table: vectors": "has no vectors: run `rerankd ingest` with the same embedder",
    "no such table": "was not made by `rerankd ingest`",
    "imension mismatch": "has vectors of another embedder: set that one, or use another file",
}


class Database:
    """The file, on a thread of its own. Searching opens it to read, and only once it is there."""

    def __init__(self, path: Path, seconds: float, *, writes: bool = False) -> None:
        self.name = "sqlite"
        self._path = path
        self._seconds = seconds
        self._writes = writes
        self._connection: apsw.Connection | None = None
        self._opened: tuple[int, int] | None = None  # which file that is
        self._thread = ThreadPoolExecutor(1, "sqlite")

    async def run(self, work: Callable[[apsw.Connection], Answer]) -> Answer:
        future = self._thread.submit(lambda: work(self._open()))
        try:
            async with asyncio.timeout(self._seconds):
                return await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise UpstreamTimeout(
                f"sqlite did not answer within {self._seconds * 1000:.0f} ms", upstream="sqlite"
            ) from error
        except apsw.Error as error:
            reason = told(error)
            raise UpstreamFailed(
                f"sqlite: {self._path.name} {reason}", upstream="sqlite"
            ) from error
        finally:
            # What runs by now and is waited for no more would only hold up the next.
            if not future.done() and not future.cancel() and self._connection is not None:
                self._connection.interrupt()

    def _open(self) -> apsw.Connection:
        there = None if self._writes else self._there()
        if self._connection is None or there != self._opened:
            flags = apsw.SQLITE_OPEN_READONLY
            if self._writes:
                flags = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
            connection = apsw.Connection(str(self._path), flags=flags)
            connection.set_busy_timeout(int(self._seconds * 1000))
            connection.enable_load_extension(True)
            connection.load_extension(sqlite_vec.loadable_path())
            connection.enable_load_extension(False)
            if self._writes:
                connection.execute(TABLES)
            self._connection, self._opened = connection, there
        return self._connection

    def _there(self) -> tuple[int, int]:
        """Which file bears the name by now: another may have been put in its place."""
        try:
            found = self._path.stat()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise NoStore(
                f"sqlite: there is no {self._path.name} yet: `rerankd ingest` makes it",
                upstream="sqlite",
            ) from error
        return found.st_dev, found.st_ino

    async def close(self) -> None:
        self._thread.shutdown(wait=False)
        if self._connection is not None:
            self._connection.interrupt()


def told(error: apsw.Error) -> str:
    """A sentence's end. The library's own words may quote what was searched for."""
    for kinds, reason in BY_KIND.items():
        if isinstance(error, kinds):
            return reason
    for words, reason in BY_WORDS.items():
        if words in str(error):
            return reason
    return f"failed with {type(error).__name__}"
