"""The embedded store: a single file, BM25 by FTS5 and, with an embedder, vectors by sqlite-vec."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import apsw

from app.errors import UpstreamFailed
from app.retrieval.endpoint import as_candidate, with_text
from app.retrieval.store import Candidate, Search, Store
from app.retrieval.stores.kind import Opening, StoreKind
from app.retrieval.stores.sqlite_file import Database
from app.retrieval.stores.sqlite_journal import transaction
from app.retrieval.writer import Held

# The limit of sqlite-vec.
MAX_NEIGHBOURS = 4096
MAX_QUERY_WORDS = 256
# Rows that other programs wrote may hold anything.
UNREADABLE = (RecursionError, TypeError, ValueError)
WORD = re.compile(r"[^\W_]+")

VECTORS = """
create virtual table if not exists vectors using vec0 (
    place integer primary key, vector float[{size}] distance_metric = cosine
)
"""
BY_WORDS = """
select passages.id, passages.text, metadata, -bm25(words) from words
join passages on passages.place = words.rowid
where words match ? and collection = ? {filters} order by bm25(words) limit ?
"""
BY_VECTOR = """
select id, text, metadata, 1 - distance from vectors
join passages on passages.place = vectors.place
where vector match ? and k = ? and vectors.place in
    (select place from passages where collection = ? {filters})
order by distance
"""
# Metadata that is not JSON counts as empty: a single such passage would fail every filtered search.
FILTER = """and exists (
    select 1 from json_each(iif(json_valid(metadata), metadata, '{}')) where key = ? and atom = ?
)
"""
HELD = """
select id, metadata ->> '$.source', metadata ->> '$.parent_doc_id' from passages
where collection = ? {only}
"""


def match_any(query: str) -> str:
    """The query's words as an FTS5 expression, each in quotes, so that none is syntax."""
    words = dict.fromkeys(WORD.findall(query.lower()))
    return " OR ".join(f'"{word}"' for word in list(words)[:MAX_QUERY_WORDS])


def pack(vector: Sequence[float]) -> bytes:
    return struct.pack(f"{len(vector)}f", *vector)


def conditions(filters: Mapping[str, Any]) -> tuple[str, list[Any]]:
    return FILTER * len(filters), [part for pair in filters.items() for part in pair]


class SqliteStore:
    name = "sqlite"

    def __init__(
        self, database: Database, collection: str, reads: Literal["words", "vector"]
    ) -> None:
        self.reads = reads
        self._database = database
        self._collection = collection

    async def search(self, search: Search) -> list[Candidate]:
        collection = search.collection or self._collection
        filters, values = conditions(search.filters)
        if search.vector is not None:
            nearest = min(search.k, MAX_NEIGHBOURS)
            parameters = [pack(search.vector), nearest, collection, *values]
            statement = BY_VECTOR
        elif words := match_any(search.text):
            parameters = [words, collection, *values, search.k]
            statement = BY_WORDS
        else:
            return []
        statement = statement.format(filters=filters)

        def read(file: apsw.Connection) -> list[tuple[Any, ...]]:
            return file.execute(statement, parameters).fetchall()

        try:
            rows = await self._database.run(read)
            candidates = [
                as_candidate(name, text, json.loads(facts), score)
                for name, text, facts, score in rows
            ]
        except UNREADABLE as error:
            raise UpstreamFailed(
                "sqlite holds a passage that cannot be read: fill a new file with `rerankd ingest`",
                upstream="sqlite",
            ) from error
        return with_text(self.name, candidates)

    async def close(self) -> None:
        await self._database.close()


class SqliteWriter:
    name = "sqlite"

    def __init__(self, database: Database, collection: str, *, wants_vectors: bool) -> None:
        self.wants_vectors = wants_vectors
        self._database = database
        self._collection = collection

    async def held(self) -> list[Held]:
        """Where vectors are wanted, a passage without a vector counts as missing."""

        def read(file: apsw.Connection) -> list[Held]:
            has_vectors = file.execute(
                "select 1 from sqlite_master where name = 'vectors'"
            ).fetchall()
            if self.wants_vectors and not has_vectors:
                return []
            only = "and place in (select place from vectors)" if self.wants_vectors else ""
            rows = file.execute(HELD.format(only=only), [self._collection])
            return [Held(*row) for row in rows]

        return await self._database.run(read)

    async def put(self, chunks: Sequence[Candidate], vectors: Sequence[Sequence[float]]) -> None:
        def write(file: apsw.Connection) -> None:
            with transaction(file):
                if vectors:
                    file.execute(VECTORS.format(size=len(vectors[0])))
                for position, chunk in enumerate(chunks):
                    remove(file, self._collection, chunk.id)
                    facts = json.dumps(dict(chunk.metadata), ensure_ascii=False)
                    file.execute(
                        "insert into passages (collection, id, text, metadata) values (?, ?, ?, ?)",
                        [self._collection, chunk.id, chunk.text, facts],
                    )
                    if vectors:
                        row = (file.last_insert_rowid(), pack(vectors[position]))
                        file.execute("insert into vectors (place, vector) values (?, ?)", row)

        await self._database.run(write)

    async def remove(self, ids: Sequence[str]) -> None:
        def write(file: apsw.Connection) -> None:
            with transaction(file):
                for chunk_id in ids:
                    remove(file, self._collection, chunk_id)

        await self._database.run(write)

    async def close(self) -> None:
        await self._database.close()


def remove(file: apsw.Connection, collection: str, name: str) -> None:
    own = "select place from passages where collection = ? and id = ?"
    if file.execute("select 1 from sqlite_master where name = 'vectors'").fetchall():
        file.execute(f"delete from vectors where place in ({own})", [collection, name])  # noqa: S608
    file.execute("delete from passages where collection = ? and id = ?", [collection, name])


def open_stores(opening: Opening) -> list[Store]:
    kinds: list[Literal["words", "vector"]] = ["words", "vector"]
    return [
        SqliteStore(Database(opening.file, opening.seconds), opening.collection, reads)
        for reads in (kinds if opening.has_embedder else kinds[:1])
    ]


def open_writer(opening: Opening) -> SqliteWriter:
    database = Database(opening.file, opening.seconds, writes=True)
    return SqliteWriter(database, opening.collection, wants_vectors=opening.has_embedder)


STORE = StoreKind(
    title="SQLite",
    schemes=("sqlite",),
    examples=("sqlite:rerankd.db",),
    reads="words; with an embedder vectors too",
    tested_against="the real library",
    open_stores=open_stores,
    open_writer=open_writer,
)
