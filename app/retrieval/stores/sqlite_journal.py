"""How the file of SQLite is opened and put away, so that a kill leaves it readable.

While an ingest writes, the file has a write-ahead log: searches continue, and a kill loses at most
the current transaction. At rest it is a single file without a log, which works on a read-only file
system. The next process that opens it completes what a killed process left, if it may write.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ctypes import addressof, c_int
from pathlib import Path

import apsw
import sqlite_vec

TO_READ = apsw.SQLITE_OPEN_READONLY
TO_WRITE = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
TO_REPAIR = apsw.SQLITE_OPEN_READWRITE

# Waiting for a lock ends before the time limit does, so that the error names the lock.
BUSY_SHARE_OF_LIMIT = 0.9
# A search that holds the file is over by then, or puts the file away itself.
PUT_AWAY_SECONDS = 1.0
RETRY_SECONDS = 0.02
HEADER_BYTES = 20
# The byte of the header that says whether the file has a write-ahead log, and its value then.
WRITE_VERSION_OFFSET = 18
WITH_LOG = 2


def open_to_read(path: Path, seconds: float) -> apsw.Connection:
    if has_leftovers(path):
        repair(path)
    return connect(path, TO_READ, seconds)


def open_to_write(path: Path, seconds: float) -> apsw.Connection:
    connection = connect(path, TO_WRITE, seconds)
    set_journal_mode(connection, "wal", seconds * BUSY_SHARE_OF_LIMIT)
    return connection


def connect(path: Path, flags: int, seconds: float) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=flags)
    connection.set_busy_timeout(int(seconds * BUSY_SHARE_OF_LIMIT * 1000))
    connection.enable_load_extension(True)
    connection.load_extension(sqlite_vec.loadable_path())
    connection.enable_load_extension(False)
    return connection


def set_journal_mode(connection: apsw.Connection, mode: str, seconds: float) -> None:
    """The change needs exclusive access to the file, and SQLite itself does not wait for that."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            connection.execute(f"pragma journal_mode = {mode}").fetchall()
            return
        except apsw.BusyError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(RETRY_SECONDS)


def put_away(connection: apsw.Connection) -> None:
    """Close it as a single file. If another process holds it, that process does this later."""
    connection.set_busy_timeout(int(PUT_AWAY_SECONDS * 1000))
    try:
        set_journal_mode(connection, "delete", PUT_AWAY_SECONDS)
    except apsw.Error:
        # A reader that may not write needs a log that is there, even if it is empty.
        keep = c_int(1)
        connection.file_control("main", apsw.SQLITE_FCNTL_PERSIST_WAL, addressof(keep))
        with suppress(apsw.Error):
            connection.execute("pragma wal_checkpoint(truncate)").fetchall()
    connection.close()


def repair(path: Path) -> None:
    """Complete what a killed ingest left.

    Does nothing while an ingest runs, or if this process may not write: then the file is read with
    its log, or the read fails with a reason.
    """
    with suppress(apsw.Error):
        connection = apsw.Connection(str(path), flags=TO_REPAIR)
        try:
            # Any read rolls back a journal.
            connection.execute("select 1 from sqlite_master").fetchall()
            connection.execute("pragma journal_mode = delete").fetchall()
        finally:
            connection.close()


def has_log(path: Path) -> bool:
    return beside(path, "-wal").exists()


def has_leftovers(path: Path) -> bool:
    """Also true while an ingest runs."""
    return has_log(path) or beside(path, "-journal").exists()


def needs_repair(path: Path) -> bool:
    """Whether a read failed because a killed ingest left something to complete."""
    if has_leftovers(path):
        return True
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
    except OSError:
        return False
    return len(header) == HEADER_BYTES and header[WRITE_VERSION_OFFSET] == WITH_LOG


def beside(path: Path, ending: str) -> Path:
    """SQLite resolves links before it names its journals."""
    return Path(os.path.realpath(path) + ending)


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """Locks at the start: a read that becomes a write fails while another process writes."""
    connection.execute("begin immediate")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise
