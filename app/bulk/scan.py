"""The first pass over the input: its fingerprint, its size, its blocks, and which ids occur twice.

What grows with the input is in an SQLite file, except eight bytes for each block.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import file_digest
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Self

from app.bulk.problems import RunFailed, Unusable
from app.bulk.rows import BadRow, Id, RawRow, count_of, id_of, read_rows, refuse_unknown

# A block of so many pairs, sorted by length, has next to no padding.
BLOCK_PAIRS = 8_192
# Of the rows of a block, which are in memory together.
MAX_BLOCK_CHARS = 33_554_432


class Stamp(NamedTuple):
    path: Path
    size: int
    written: int


@dataclass(frozen=True, slots=True)
class Source:
    """The files that a run reads. A row has at most `max_bytes`, a block so many `pairs`."""

    path: Path
    corpus: Path | None
    max_bytes: int
    pairs: int
    stamps: Sequence[Stamp] = ()

    @classmethod
    def opened(cls, path: Path, corpus: Path | None, max_bytes: int, pairs: int) -> Self:
        refuse_unknown(path)
        stamps = [stamp_of(file) for file in (path, corpus) if file]
        return cls(path, corpus, max_bytes, pairs, stamps)

    def fingerprint(self) -> dict[str, Any]:
        """What decides which rows there are, and in which blocks."""
        return {
            "input": digest_of(self.path),
            "corpus": digest_of(self.corpus) if self.corpus else None,
            "block_pairs": self.pairs,
        }

    def refuse_change(self) -> None:
        """A file that was written since it was opened may have been read in two versions."""
        for stamp in self.stamps:
            if stamp_of(stamp.path) != stamp:
                raise Unusable(
                    f"{stamp.path} changed while it was read: begin again with --restart"
                )


@dataclass(slots=True)
class Blocks:
    """The input, cut into blocks of whole rows: the first row after each, counted from 0."""

    ends: array[int] = field(default_factory=lambda: array("Q"))
    documents: array[int] = field(default_factory=lambda: array("Q"))

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def rows(self) -> int:
        return self.ends[-1] if self.ends else 0

    @property
    def total_documents(self) -> int:
        return sum(self.documents)


class Cutter:
    """Ends a block before the row that would make it too large."""

    def __init__(self, pairs: int) -> None:
        self.blocks = Blocks()
        self._most = pairs
        self._rows = self._pairs = self._chars = 0
        self._open = False

    def add(self, pairs: int, chars: int) -> None:
        full = self._pairs + pairs > self._most or self._chars + chars > MAX_BLOCK_CHARS
        if self._open and full:
            self._end()
        self._open = True
        self._rows += 1
        self._pairs += pairs
        self._chars += chars

    def finish(self) -> Blocks:
        if self._open:
            self._end()
        return self.blocks

    def _end(self) -> None:
        self.blocks.ends.append(self._rows)
        self.blocks.documents.append(self._pairs)
        self._pairs = self._chars = 0
        self._open = False


class Ids:
    """Where each id occurs first. The file is of use to this run only, so it is not synced."""

    def __init__(self, path: Path, unit: str, *, sealed: bool = False) -> None:
        """`sealed`: another process has filled the file."""
        self._unit = unit
        if not sealed:
            path.unlink(missing_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        if not sealed:
            self._create()

    def _create(self) -> None:
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("PRAGMA synchronous = OFF")
        self._database.execute(
            "CREATE TABLE ids (id TEXT PRIMARY KEY, row INTEGER NOT NULL) WITHOUT ROWID"
        )
        self._database.execute("BEGIN")

    def close(self) -> None:
        self._database.close()

    def seal(self) -> None:
        """From now on other processes of this machine can read what was added."""
        self._database.execute("COMMIT")

    def add(self, name: Id, number: int) -> None:
        """1 and "1" are the same id: in the results of some formats they cannot be told apart."""
        statement = "INSERT OR IGNORE INTO ids VALUES (?, ?)"
        self._database.execute(statement, (str(name), number))

    def refuse_repeated(self, name: Id, number: int) -> None:
        statement = "SELECT row FROM ids WHERE id = ?"
        (first,) = self._database.execute(statement, (str(name),)).fetchone()
        if first != number:
            raise BadRow(f"id: {name} occurs already in {self._unit} {first}", "id")


def scan(source: Source, ids: Ids) -> Blocks:
    """A row that alone has more pairs than a block may have is a block of its own."""
    cutter = Cutter(source.pairs)
    for row in read_rows(source.path, source.max_bytes):
        cutter.add(*measure(row, ids))
    blocks = cutter.finish()
    if not blocks.rows:
        raise Unusable(f"{source.path}: contains no row")
    return blocks


def measure(row: RawRow, ids: Ids) -> tuple[int, int]:
    try:
        fields = row.fields()
        ids.add(id_of(fields, row.number), row.number)
    except BadRow:  # it is read again, and reported, with its block
        return 0, 0
    return count_of(fields), chars_of(fields.get("documents"))


def chars_of(documents: Any) -> int:
    """Of texts, or of objects with a text."""
    if not isinstance(documents, list):
        return 0
    texts = (item.get("text") if isinstance(item, dict) else item for item in documents)
    return sum(len(text) for text in texts if isinstance(text, str))


def stamp_of(path: Path) -> Stamp:
    try:
        status = path.stat()
    except OSError as error:
        raise Unusable(f"{path}: cannot be read: {error.strerror or error}") from error
    return Stamp(path, status.st_size, status.st_mtime_ns)


def digest_of(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise Unusable(f"{path}: cannot be read: {error.strerror or error}") from error


def blocks_of(rows: Iterator[RawRow], blocks: Blocks) -> Iterator[list[RawRow]]:
    """The rows of each block, in order."""
    start = 0
    for end in blocks.ends:
        block = list(islice(rows, end - start))
        if len(block) < end - start:
            raise RunFailed("the input became shorter while it was read")
        yield block
        start = end
