"""A table of PostgreSQL with pgvector, searched and filled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal, LiteralString, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.sql import SQL, Composed, Identifier
from psycopg.types.json import Jsonb

from app.errors import UpstreamFailed, UpstreamTimeout
from app.retrieval.endpoint import as_candidate, as_number, reading, with_text
from app.retrieval.store import Candidate, Search
from app.retrieval.writer import Held

Answer = TypeVar("Answer")

# PostgreSQL has 100 by default, for all its clients together.
MAX_CONNECTIONS = 8
NEAREST: LiteralString = """
select {id}::text, {text}, {metadata}, nullif(1 - ({vector} <=> %(vector)s::vector), 'NaN')
from {table} where {text} is not null {filters} order by {vector} <=> %(vector)s::vector limit %(k)s
"""
BREADTH: LiteralString = """
select set_config('hnsw.ef_search', %s, false),
    set_config('hnsw.iterative_scan', 'strict_order', false)
"""
MAKE: LiteralString = """
create extension if not exists vector;
create table if not exists {table} (
    id text primary key,
    text text not null,
    metadata jsonb not null default '{{}}',
    embedding vector({size}) not null
);
create index if not exists {index} on {table} using hnsw (embedding vector_cosine_ops);
"""
PUT: LiteralString = """
insert into {table} (id, text, metadata, embedding) values (%s, %s, %s, %s::vector)
on conflict (id) do update
set text = excluded.text, metadata = excluded.metadata, embedding = excluded.embedding
"""
HELD: LiteralString = "select id, metadata ->> 'source', metadata ->> 'parent_doc_id' from {table}"
REMOVE: LiteralString = "delete from {table} where id = any(%s)"

NO_EXTENSION = "lacks pgvector 0.8 or newer: CREATE EXTENSION vector"
REASONS: dict[type[psycopg.Error], str] = {
    psycopg.errors.UndefinedTable: "has no such table: `rerankd ingest` makes it, or name yours "
    "with ?table=",
    psycopg.errors.UndefinedColumn: "has no such column: name yours with ?id=, ?text=, ?vector= "
    "and ?metadata=",
    psycopg.errors.UndefinedObject: NO_EXTENSION,
    psycopg.errors.UndefinedFile: NO_EXTENSION,
    psycopg.errors.FeatureNotSupported: NO_EXTENSION,
    psycopg.errors.DataException: "has vectors of another embedder: set that one, or name another "
    "collection",
    psycopg.errors.InsufficientPrivilege: "does not let this user do that",
    psycopg.OperationalError: "cannot be reached, or broke the connection",
}


class Postgres:
    """A few connections, each used by a single search at a time. Broken idle ones are replaced."""

    def __init__(self, url: str, seconds: float) -> None:
        self._url = url
        self._seconds = seconds
        self._idle: list[AsyncConnection[Any]] = []
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)

    async def run(self, work: Callable[[AsyncConnection[Any]], Awaitable[Answer]]) -> Answer:
        try:
            async with asyncio.timeout(self._seconds), self._slots:
                return await self._run(work)
        except TimeoutError as error:
            raise UpstreamTimeout(
                f"postgresql did not answer within {self._seconds * 1000:.0f} ms",
                upstream="postgresql",
            ) from error
        except psycopg.Error as error:
            raise UpstreamFailed(f"postgresql {reason_of(error)}", upstream="postgresql") from error

    async def _run(self, work: Callable[[AsyncConnection[Any]], Awaitable[Answer]]) -> Answer:
        if self._idle:
            try:
                async with self._borrowed() as connection:
                    return await work(connection)
            except psycopg.OperationalError:
                await self.close()
        async with self._borrowed() as connection:
            return await work(connection)

    @asynccontextmanager
    async def _borrowed(self) -> AsyncIterator[AsyncConnection[Any]]:
        if self._idle:
            connection = self._idle.pop()
        else:
            # No prepared statements: poolers exchange sessions, and tables are created again.
            connection = await AsyncConnection.connect(
                self._url, autocommit=True, prepare_threshold=None
            )
        try:
            yield connection
        except BaseException:
            await connection.close()
            raise
        self._idle.append(connection)

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close()


def reason_of(error: psycopg.Error) -> str:
    """The end of a sentence. The driver's own text is not used: it may quote query or login."""
    if "authentication failed" in str(error):
        return "refuses the login: see the URL in RERANKD_STORE"
    reasons = (reason for kind, reason in REASONS.items() if isinstance(error, kind))
    return next(reasons, f"failed with {type(error).__name__}")


def text_of(vector: Sequence[float]) -> str:
    return "[" + ",".join(str(float(number)) for number in vector) + "]"


class PgvectorStore:
    name = "postgresql"
    reads: Literal["words", "vector"] = "vector"

    def __init__(self, server: Postgres, collection: str, options: Mapping[str, str]) -> None:
        self._server = server
        self._collection = collection
        self._options = options

    async def search(self, search: Search) -> list[Candidate]:
        values = {
            "vector": text_of(search.vector or ()),
            "filters": Jsonb(dict(search.filters)),
            "k": search.k,
        }
        table = search.collection or self._options.get("table", self._collection)
        statement = self._statement(table, filtered=bool(search.filters))
        # An HNSW index returns at most ef_search rows, by default 40.
        breadth = [str(min(max(40, search.k), 1000))]

        async def work(connection: AsyncConnection[Any]) -> list[tuple[Any, ...]]:
            await connection.execute(BREADTH, breadth)
            cursor = await connection.execute(statement, values)
            return await cursor.fetchall()

        rows = await self._server.run(work)
        with reading(self.name):
            candidates = [
                as_candidate(name, str(text), facts, None if score is None else as_number(score))
                for name, text, facts, score in rows
            ]
            return with_text(self.name, candidates)

    def _statement(self, table: str, *, filtered: bool) -> Composed:
        names = {
            name: Identifier(self._options.get(name, default))
            for name, default in (("id", "id"), ("text", "text"), ("vector", "embedding"))
        }
        column = self._options.get("metadata", "metadata")
        metadata = Identifier(column) if column else SQL("null")
        if filtered and not column:
            raise UpstreamFailed(
                "postgresql: filters need a column of metadata: name it with ?metadata=",
                upstream=self.name,
            )
        filters = SQL("and {} @> %(filters)s").format(metadata) if filtered else SQL("")
        return SQL(NEAREST).format(
            table=Identifier(*table.split(".")), metadata=metadata, filters=filters, **names
        )

    async def close(self) -> None:
        await self._server.close()


class PgvectorWriter:
    name = "postgresql"
    wants_vectors = True

    def __init__(self, server: Postgres, collection: str) -> None:
        self._server = server
        self._table = Identifier(*collection.split("."))
        self._index = Identifier(f"{collection.replace('.', '_')}_embedding")

    async def held(self) -> list[Held]:
        async def work(connection: AsyncConnection[Any]) -> list[Held]:
            try:
                cursor = await connection.execute(SQL(HELD).format(table=self._table))
            except psycopg.errors.UndefinedTable:
                return []
            return [Held(*row) for row in await cursor.fetchall()]

        return await self._server.run(work)

    async def put(self, chunks: Sequence[Candidate], vectors: Sequence[Sequence[float]]) -> None:
        size = SQL(str(len(vectors[0])))
        make = SQL(MAKE).format(table=self._table, index=self._index, size=size)
        rows = [
            (chunk.id, chunk.text, Jsonb(dict(chunk.metadata)), text_of(vector))
            for chunk, vector in zip(chunks, vectors, strict=True)
        ]

        async def work(connection: AsyncConnection[Any]) -> None:
            async with connection.transaction():
                await connection.execute(make)
                async with connection.cursor() as cursor:
                    await cursor.executemany(SQL(PUT).format(table=self._table), rows)

        await self._server.run(work)

    async def remove(self, ids: Sequence[str]) -> None:
        async def work(connection: AsyncConnection[Any]) -> None:
            await connection.execute(SQL(REMOVE).format(table=self._table), [list(ids)])

        await self._server.run(work)

    async def close(self) -> None:
        await self._server.close()
