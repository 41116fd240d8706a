"""The documents that candidate lists name: in an SQLite file, so that memory stays bounded."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.bulk.problems import Unusable
from app.bulk.rows import BadRow, Id, RawRow, id_of, read_rows, unit_of
from app.bulk.scan import Source
from app.durable import rename

CACHE_KIB = 16_384
COPY = "corpus.sqlite"


class Corpus:
    """Texts by id, of a file that was written whole."""

    def __init__(self, path: Path) -> None:
        self._database = connect(path)

    def close(self) -> None:
        self._database.close()

    def resolve(self, fields: dict[str, Any]) -> list[dict[str, Any]]:
        """The documents of a row that lists candidates."""
        if "documents" in fields:
            raise BadRow(
                "documents: the row has candidates too; only one may be there", "documents"
            )
        candidates = fields["candidates"]
        if not isinstance(candidates, list) or not candidates:
            raise BadRow("candidates: must be a list of at least one document id", "candidates")
        return [self._find(index, name) for index, name in enumerate(candidates)]

    def _find(self, index: int, name: Any) -> dict[str, Any]:
        field = f"candidates[{index}]"
        if isinstance(name, bool) or not isinstance(name, str | int):
            raise BadRow(f"{field}: must be an id: a string or a whole number", field)
        statement = "SELECT text FROM documents WHERE id = ?"
        text = self._database.execute(statement, (str(name),)).fetchone()
        if text is None:
            raise BadRow(f"{field}: document {name} is not in the corpus", field)
        return {"id": name, "text": text[0]}


def connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    return database


@contextmanager
def open_corpus(source: Source, work: Path) -> Iterator[Corpus | None]:
    """A copy of the corpus in the folder `work`, made once for a run and its continuations."""
    if source.corpus is None:
        yield None
        return
    path = work / COPY
    if not path.exists():
        unfinished = path.with_suffix(".new")
        write_corpus(source.corpus, unfinished, source.max_bytes)
        rename(unfinished, path)
    corpus = Corpus(path)
    try:
        yield corpus
    finally:
        corpus.close()


def write_corpus(source: Path, path: Path, max_bytes: int) -> None:
    """Copies the corpus. A file that is there already is of a run that was killed meanwhile."""
    path.unlink(missing_ok=True)
    database = connect(path)
    try:
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.execute("BEGIN")
        database.execute(
            "CREATE TABLE documents (id TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID"
        )
        database.executemany("INSERT INTO documents VALUES (?, ?)", documents_of(source, max_bytes))
        database.execute("COMMIT")
    except sqlite3.IntegrityError as error:
        raise Unusable(f"{source}: a document id occurs twice") from error
    finally:
        database.close()


def documents_of(source: Path, max_bytes: int) -> Iterator[tuple[str, str]]:
    for row in read_rows(source, max_bytes):
        try:
            fields = row.fields()
            yield str(document_id(fields, row)), text_of(fields)
        except BadRow as error:
            raise Unusable(f"{source}, {unit_of(source)} {row.number}: {error}") from error


def document_id(fields: dict[str, Any], row: RawRow) -> Id:
    """`_id` as in BEIR's corpora, or `id`."""
    named = {"id": fields.get("_id", fields.get("id"))}
    if named["id"] is None:
        raise BadRow("id: is missing", "id")
    return id_of(named, row.number)


def text_of(fields: dict[str, Any]) -> str:
    """After the title, as in BEIR's corpora."""
    text, title = fields.get("text"), fields.get("title")
    if not isinstance(text, str):
        raise BadRow("text: must be a string", "text")
    return f"{title} {text}".strip() if isinstance(title, str) and title else text
