"""What a killed, a second or an unprivileged process does to the file of SQLite."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from app.errors import NoStore, UpstreamFailed
from app.retrieval.store import Candidate, Search
from app.retrieval.stores import sqlite_journal
from app.retrieval.stores.sqlite import SqliteStore, SqliteWriter
from app.retrieval.stores.sqlite_file import TABLES, Database
from app.retrieval.stores.sqlite_journal import (
    connect,
    has_leftovers,
    open_to_write,
    put_away,
    transaction,
)

pytestmark = pytest.mark.anyio

KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from app.retrieval.store import Candidate
from app.retrieval.stores import sqlite_journal
from app.retrieval.stores.sqlite import SqliteWriter
from app.retrieval.stores.sqlite_file import Database

async def main():
    database = Database(Path(sys.argv[1]), 5, writes=True)
    writer = SqliteWriter(database, "rerankd", wants_vectors=False)
    await writer.put([Candidate("killed", "Cats purr.")], [])
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""
KILLED_WITH_A_JOURNAL = """
import os, signal, sys, apsw
file = apsw.Connection(sys.argv[1])
file.execute("pragma cache_size = 1; begin immediate")
insert = "insert into passages (collection, id, text, metadata) values ('rerankd', ?, ?, '{}')"
for number in range(500):
    file.execute(insert, [str(number), "Cats. " * 100])
os.kill(os.getpid(), signal.SIGKILL)
"""
READ_WITHOUT_RIGHTS = """
import asyncio, os, sys
from pathlib import Path
from app.retrieval.store import Search
from app.retrieval.stores.sqlite import SqliteStore
from app.retrieval.stores.sqlite_file import Database

async def main():
    store = SqliteStore(Database(Path(sys.argv[1]), 5), "rerankd", "words")
    print([candidate.id for candidate in await store.search(Search("cats", 5))])
    await store.close()

if os.getuid() == 0:
    os.setuid(65534)
try:
    asyncio.run(main())
except Exception as error:
    print(error)
"""


def run(script: str, path: Path) -> str:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == (-signal.SIGKILL if "SIGKILL" in script else 0)
    return done.stdout.strip()


def writer_of(path: Path, seconds: float = 5) -> SqliteWriter:
    return SqliteWriter(Database(path, seconds, writes=True), "rerankd", wants_vectors=False)


async def put(path: Path, *texts: str) -> None:
    writer = writer_of(path)
    await writer.put([Candidate(text, text) for text in texts], [])
    await writer.close()


async def search(path: Path, words: str = "cats") -> list[str]:
    store = SqliteStore(Database(path, 5), "rerankd", "words")
    try:
        return [candidate.id for candidate in await store.search(Search(words, 100))]
    finally:
        await store.close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """Only its owner may write to it. Not in the folder of pytest, which others cannot enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


def close_folder(folder: Path) -> None:
    for path in folder.iterdir():
        path.chmod(0o644 if os.getuid() == 0 else 0o444)
    folder.chmod(0o755 if os.getuid() == 0 else 0o555)


async def test_what_a_killed_ingest_committed_is_searched_and_the_file_is_one_again(
    tmp_path: Path,
) -> None:
    run(KILLED, tmp_path / "a.db")
    assert "a.db-wal" in names(tmp_path)
    assert await search(tmp_path / "a.db") == ["killed"]
    assert names(tmp_path) == ["a.db"]


async def test_a_running_service_continues_after_an_ingest_is_killed(tmp_path: Path) -> None:
    await put(tmp_path / "a.db", "Old cats.")
    store = SqliteStore(Database(tmp_path / "a.db", 5), "rerankd", "words")
    assert len(await store.search(Search("cats", 5))) == 1
    run(KILLED, tmp_path / "a.db")
    assert len(await store.search(Search("cats", 5))) == 2
    assert len(await store.search(Search("cats", 5))) == 2
    assert names(tmp_path) == ["a.db"]
    await store.close()


async def test_a_journal_that_a_killed_writer_left_is_rolled_back_by_a_search(
    tmp_path: Path,
) -> None:
    await put(tmp_path / "a.db", "Old cats.")
    store = SqliteStore(Database(tmp_path / "a.db", 5), "rerankd", "words")
    assert len(await store.search(Search("cats", 500))) == 1
    run(KILLED_WITH_A_JOURNAL, tmp_path / "a.db")
    assert "a.db-journal" in names(tmp_path)
    assert len(await store.search(Search("cats", 500))) == 1
    assert names(tmp_path) == ["a.db"]
    await store.close()


async def test_a_reader_that_may_not_write_reads_what_a_killed_ingest_committed(
    closed_folder: Path,
) -> None:
    run(KILLED, closed_folder / "a.db")
    close_folder(closed_folder)
    assert run(READ_WITHOUT_RIGHTS, closed_folder / "a.db") == "['killed']"


async def test_a_reader_that_may_not_write_reads_a_file_that_was_put_away(
    closed_folder: Path,
) -> None:
    await put(closed_folder / "a.db", "Cats")
    close_folder(closed_folder)
    assert names(closed_folder) == ["a.db"]
    assert run(READ_WITHOUT_RIGHTS, closed_folder / "a.db") == "['Cats']"


async def test_a_reader_that_may_not_write_says_who_can_repair_the_file(
    closed_folder: Path,
) -> None:
    await put(closed_folder / "a.db", "Cats")
    run(KILLED_WITH_A_JOURNAL, closed_folder / "a.db")
    close_folder(closed_folder)
    assert run(READ_WITHOUT_RIGHTS, closed_folder / "a.db") == (
        "sqlite: a.db was left unfinished by an ingest that was stopped, and this process may not "
        "write to its folder: run `rerankd ingest` again"
    )


async def test_the_error_for_a_file_without_tables_says_that_it_is_empty(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.db").touch()
    with pytest.raises(NoStore, match=r"a\.db is empty: `rerankd ingest` fills it"):
        await search(tmp_path / "a.db")


async def test_two_ingests_of_one_file_take_turns(tmp_path: Path) -> None:
    writers = [writer_of(tmp_path / "a.db") for _ in range(4)]

    async def fill(writer: SqliteWriter, name: int) -> None:
        for number in range(20):
            await writer.held()
            await writer.put([Candidate(f"{name}-{number}", "Cats purr.")], [])
            await writer.remove([f"{name}-{number - 10}"])
        await writer.close()

    await asyncio.gather(*(fill(writer, name) for name, writer in enumerate(writers)))
    assert len(await search(tmp_path / "a.db")) == 40
    assert names(tmp_path) == ["a.db"]


async def test_searches_continue_while_an_ingest_holds_its_transaction_open(tmp_path: Path) -> None:
    await put(tmp_path / "a.db", "Old cats.")
    writer = writer_of(tmp_path / "a.db")
    await writer.put([Candidate("new", "New cats.")], [])
    other = connect(tmp_path / "a.db", apsw.SQLITE_OPEN_READWRITE, 1)
    with transaction(other):
        other.execute("delete from passages")
        assert len(await search(tmp_path / "a.db")) == 2
    other.close()
    await writer.close()
    assert await search(tmp_path / "a.db") == []
    assert names(tmp_path) == ["a.db"]


async def test_a_file_that_a_search_holds_as_an_ingest_ends_is_put_away_by_the_next_search(
    closed_folder: Path,
) -> None:
    path = closed_folder / "a.db"
    writer = writer_of(path)
    await writer.put([Candidate("Cats", "Cats")], [])
    reader = connect(path, apsw.SQLITE_OPEN_READONLY, 1)
    reader.execute("select * from passages").fetchall()
    await writer.close()
    assert path.with_name("a.db-wal").stat().st_size == 0
    reader.close()
    close_folder(closed_folder)
    assert run(READ_WITHOUT_RIGHTS, path) == "['Cats']"
    os.chmod(closed_folder, 0o755)  # noqa: PTH101
    assert await search(path) == ["Cats"]
    assert names(closed_folder) == ["a.db"]


async def test_a_write_that_never_gets_the_lock_is_an_error_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_journal, "BUSY_SHARE_OF_LIMIT", 0.01)
    await put(tmp_path / "a.db", "Cats")
    other = connect(tmp_path / "a.db", apsw.SQLITE_OPEN_READWRITE, 0)
    writer = writer_of(tmp_path / "a.db", 20)
    await writer.held()
    is_locked = pytest.raises(UpstreamFailed, match=r"a\.db is locked by another process")
    with transaction(other), is_locked:
        await writer.put([Candidate("x", "Cats")], [])
    await writer.put([Candidate("y", "Cats")], [])
    other.close()
    await writer.close()
    assert sorted(await search(tmp_path / "a.db")) == ["Cats", "y"]


def test_a_transaction_that_fails_leaves_nothing_and_the_file_free(tmp_path: Path) -> None:
    file = connect(tmp_path / "a.db", apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE, 0)
    file.execute(TABLES)
    row = "insert into passages (collection, id, text, metadata) values ('c', 'a', 'x', '{}')"

    def fail() -> None:
        with transaction(file):
            file.execute(row)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with transaction(file):
        assert file.execute("select count(*) from passages").fetchall() == [(0,)]
    file.close()
    assert not has_leftovers(tmp_path / "a.db")


def test_a_file_that_cannot_become_one_keeps_an_empty_log_for_readers_that_may_not_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a search lets go of it between the attempt and the close."""

    def refuse(*_: object) -> None:
        raise apsw.BusyError

    file = open_to_write(tmp_path / "a.db", 1)
    file.execute(TABLES)
    monkeypatch.setattr(sqlite_journal, "set_journal_mode", refuse)
    put_away(file)
    assert names(tmp_path) == ["a.db", "a.db-shm", "a.db-wal"]
    assert (tmp_path / "a.db-wal").stat().st_size == 0
