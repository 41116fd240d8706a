"""The store that `rerankd ingest` fills, as a subject of crashes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import apsw

from app.errors import NoStore, ServiceError
from app.ingest.chunking import Chunking, chunks_of
from app.ingest.reading import read_file
from app.ingest.syncing import Sync
from app.retrieval.store import Search
from app.retrieval.stores.sqlite import SqliteStore, SqliteWriter
from app.retrieval.stores.sqlite_file import Database
from tests.reliability.crash.shim import Mode
from tests.reliability.crash.subject import Done, Torn

SECONDS = 20
EVERYTHING = 1_000_000


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


CHUNKING = Chunking(count_words, 20, 0)


class Ingest:
    """A step is a file. Three are in the store before, of which one changes and one goes."""

    def __init__(self, files: int, lines: int) -> None:
        self.files = files
        self.lines = lines

    def prepare(self, root: Path) -> None:
        (root / "notes").mkdir()
        for number in (0, 1, 99):
            self._write(root, number, "old")
        self.work(root, lambda _: None)
        (root / "notes/99.txt").unlink()
        for number in range(1, self.files):
            self._write(root, number, "new")

    def forgives(self, mode: Mode) -> int:
        return 0

    def _write(self, root: Path, number: int, age: str) -> None:
        lines = (f"The {age} file {number} says {line}. " for line in range(self.lines))
        (root / f"notes/{number:02}.txt").write_text("".join(lines))

    def work(self, root: Path, done: Done) -> None:
        asyncio.run(self._sync(root, done))

    async def _sync(self, root: Path, done: Done) -> None:
        database = Database(root / "a.db", SECONDS, writes=True)
        writer = SqliteWriter(database, "rerankd", wants_vectors=False)
        count = 0

        def step() -> None:
            nonlocal count
            count += 1
            done(count)

        try:
            await Sync(writer, None, CHUNKING).run([root / "notes"], step)
        finally:
            await writer.close()

    def check(self, root: Path, done: int) -> int:
        held = asyncio.run(search_everything(root / "a.db"))
        if held:
            check_sqlite(root / "a.db")
        whole = [texts_of(path) <= held for path in sorted((root / "notes").iterdir())]
        return whole[:done].count(False)


def texts_of(path: Path) -> set[str]:
    return {chunk.text for chunk in chunks_of(path.name, read_file(path), CHUNKING)}


async def search_everything(path: Path) -> set[str]:
    """As the service searches, so that it is known to go on."""
    store = SqliteStore(Database(path, SECONDS), "rerankd", "words")
    try:
        return {candidate.text for candidate in await store.search(Search("file", EVERYTHING))}
    except NoStore:
        return set()
    except ServiceError as error:
        raise Torn(f"the store does not answer: {error}") from error
    finally:
        await store.close()


def check_sqlite(path: Path) -> None:
    file = apsw.Connection(str(path))
    try:
        problems = file.execute("pragma integrity_check").fetchall()
        file.execute("insert into words (words, rank) values ('integrity-check', 1)")
    except apsw.Error as error:
        raise Torn(f"the store is damaged: {error}") from error
    finally:
        file.close()
    if problems != [("ok",)]:
        raise Torn(f"the store is damaged: {problems}")
