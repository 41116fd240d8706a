"""How the file of SQLite is opened and put away, so that a kill leaves it readable.

While an ingest writes, the file has a write-ahead log: searches go on, and a kill loses no more
than the transaction under way. At rest it is one file without a log, which a read-only file
system can hold. Whoever opens it next finishes what a killed process left, if it may write.
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

BUSY_SHARE = 0.9  # of the time limit: who waits for a lock says so before the limit does
PUT_AWAY_SECONDS = 1.0  # a search that holds the file is over by then, or puts it away itself
RETRY_SECONDS = 0.02
HEADER_BYTES = 20
WRITE_VERSION, LOGGED = 18, 2  # where the header says that there is a log


def open_to_read(path: Path, seconds: float) -> apsw.Connection:
    if has_leftovers(path):
        repair(path)
    return connect(path, TO_READ, seconds)


def open_to_write(path: Path, seconds: float) -> apsw.Connection:
    connection = connect(path, TO_WRITE, seconds)
    set_journal_mode(connection, "wal", seconds * BUSY_SHARE)
    return connection


def connect(path: Path, flags: int, seconds: float) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags=flags)
    connection.set_busy_timeout(int(seconds * BUSY_SHARE * 1000))
    connection.enable_load_extension(True)
    connection.load_extension(sqlite_vec.loadable_path())
    connection.enable_load_extension(False)
    return connection


def set_journal_mode(connection: apsw.Connection, mode: str, seconds: float) -> None:
    """The change needs the file for itself, and SQLite does not wait for that on its own."""
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
    """Close the file as one file. Where another process holds it, that process does so later."""
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
    """Finish what a killed ingest left. Fails where this process may not write: then reading
    goes on from the log, or says what is wrong. Fails at once where an ingest is at work.
    """
    with suppress(apsw.Error):
        connection = apsw.Connection(str(path), flags=TO_REPAIR)
        try:
            connection.execute("select 1 from sqlite_master").fetchall()  # rolls back a journal
            connection.execute("pragma journal_mode = delete").fetchall()
        finally:
            connection.close()


def has_log(path: Path) -> bool:
    return beside(path, "-wal").exists()


def has_leftovers(path: Path) -> bool:
    """Also true while an ingest is at work."""
    return has_log(path) or beside(path, "-journal").exists()


def needs_repair(path: Path) -> bool:
    """After a failure to read: is it because a killed ingest left something to be finished?"""
    if has_leftovers(path):
        return True
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
    except OSError:
        return False
    return len(header) == HEADER_BYTES and header[WRITE_VERSION] == LOGGED


def beside(path: Path, ending: str) -> Path:
    """SQLite follows links before it names its journals."""
    return Path(os.path.realpath(path) + ending)


@contextmanager
def transaction(connection: apsw.Connection) -> Iterator[None]:
    """Waits for its turn at the start: a read that becomes a write fails where another writes."""
    connection.execute("begin immediate")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise
