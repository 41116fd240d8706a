"""Tables of LanceDB: searched, and written by `rerankd ingest`. This file knows the library."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
from pydantic_core import to_json

from app.errors import LoadFailed, UpstreamFailed, UpstreamTimeout
from app.retrieval.endpoint import as_candidate, as_mapping, as_number, reading, sound, with_text
from app.retrieval.store import Candidate, Search
from app.retrieval.stores.labels import LABELS, label, labels_of
from app.retrieval.writer import Held, check_size, held_as

# The library reports on stderr that a new table does not exist yet. It reads this when imported.
os.environ.setdefault("LANCE_LOG", "error")
import lancedb

NAME = "lancedb"
# Versions of this age have no reader left, and their files are removed after an ingest.
OLD = timedelta(hours=1)
IDS_PER_REMOVAL = 500


def failed(reason: str) -> UpstreamFailed:
    return UpstreamFailed(f"{NAME}: {reason}", upstream=NAME)


class Columns(NamedTuple):
    """Columns of a table. `metadata` is a struct in tables of other programs, or absent there."""

    id: str = "id"
    text: str = "text"
    vector: str = "vector"
    metadata: str = "metadata"

    @classmethod
    def of(cls, options: Mapping[str, str]) -> Columns:
        unknown = sorted(options.keys() - set(cls._fields))
        if unknown:
            raise LoadFailed(
                f"setting store: lancedb has no option {unknown[0]}: {', '.join(cls._fields)}"
            )
        return cls(**options)


class Folder:
    """A folder with tables, which is connected at its first use."""

    def __init__(self, path: Path, seconds: float) -> None:
        self.path = path
        self._seconds = seconds
        self._connection: lancedb.AsyncConnection | None = None

    @asynccontextmanager
    async def calling(self) -> AsyncIterator[None]:
        """Around calls of the library: a time limit, and errors of the house."""
        try:
            async with asyncio.timeout(self._seconds):
                yield
        except TimeoutError as error:
            raise UpstreamTimeout(
                f"{NAME} did not answer within {self._seconds * 1000:.0f} ms", upstream=NAME
            ) from error
        except (OSError, RuntimeError, ValueError, pa.ArrowException) as error:
            raise failed(f"the library failed with {type(error).__name__}") from error

    async def connect(self) -> lancedb.AsyncConnection:
        if self._connection is None:
            # A search sees what an ingest has written before it.
            self._connection = await lancedb.connect_async(
                self.path, read_consistency_interval=timedelta(0)
            )
        return self._connection

    async def find(self, name: str) -> Table | None:
        """Reads the folder, and leaves one that does not exist as it is."""
        if not (self.path / f"{name}.lance").is_dir():
            return None
        table = await (await self.connect()).open_table(name)
        return Table(table, await table.schema())

    async def open(self, name: str) -> Table:
        table = await self.find(name)
        if table is None:
            raise failed(
                "it has no such collection: `rerankd ingest` makes it, or set RERANKD_COLLECTION"
            )
        return table

    async def make(self, name: str, columns: Columns, size: int) -> Table:
        schema = pa.schema(
            {
                columns.id: pa.string(),
                columns.text: pa.string(),
                columns.metadata: pa.string(),
                LABELS: pa.list_(pa.string()),
                columns.vector: pa.list_(pa.float32(), size),
            }
        )
        table = await (await self.connect()).create_table(name, schema=schema, exist_ok=True)
        return Table(table, await table.schema())

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()  # type: ignore[no-untyped-call]


class Table:
    """`is_ours`: `rerankd ingest` made it, so metadata are JSON, and labels are their filters."""

    def __init__(self, table: lancedb.AsyncTable, schema: pa.Schema) -> None:
        self.table = table
        self.is_ours = LABELS in schema.names
        self._schema = schema

    def vector_size(self, columns: Columns) -> int:
        wanted = columns.vector
        kind = self._schema.field(wanted).type if wanted in self._schema.names else pa.null()
        if not pa.types.is_fixed_size_list(kind):
            raise failed(
                f"the collection has no vectors in the column {wanted}: name theirs with "
                "?vector=, or set another RERANKD_COLLECTION"
            )
        return int(kind.list_size)

    async def search(self, columns: Columns, search: Search) -> list[Candidate]:
        """Exact where the table has no index of its vectors."""
        vector = search.vector or ()
        check_size(NAME, self.vector_size(columns), len(vector))
        conditions = [
            self._condition(columns, name, value) for name, value in search.filters.items()
        ]
        if "false" in conditions:
            return []
        query = self.table.query().nearest_to(list(vector)).column(columns.vector)
        query = query.distance_type("cosine").limit(search.k)
        read = [name for name in self._schema.names if name not in (columns.vector, LABELS)]
        query = query.select([*read, "_distance"])
        if conditions:
            query = query.where(" and ".join(conditions))
        rows = await query.to_list()
        with reading(NAME):
            return with_text(NAME, [self._candidate(columns, row) for row in rows])

    def _condition(self, columns: Columns, name: str, value: Any) -> str:
        """`false` where no row can match."""
        if self.is_ours:
            return f"array_has({LABELS}, {literal(label(name, value))})"
        schema, path = self._schema, [name]
        if columns.metadata in schema.names:
            kind, path = schema.field(columns.metadata).type, [columns.metadata, name]
            names = [field.name for field in kind] if pa.types.is_struct(kind) else []
        else:
            names = schema.names
        if name not in names:
            return "false"
        return ".".join(map(quoted, path)) + f" = {literal(value)}"

    def _candidate(self, columns: Columns, row: Mapping[str, Any]) -> Candidate | None:
        return as_candidate(
            row[columns.id],
            row[columns.text],
            self.facts(columns, row),
            1 - as_number(row["_distance"]),
        )

    def facts(self, columns: Columns, row: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.is_ours:
            return as_mapping(json.loads(row[columns.metadata]))
        if columns.metadata in row:
            return as_mapping(row[columns.metadata])
        own = {columns.id, columns.text, columns.vector, "_distance"}
        return {name: value for name, value in row.items() if name not in own}


def quoted(name: str) -> str:
    """A name of SQL. Only names that the table has are used."""
    return "`" + name.replace("`", "``") + "`"


def literal(value: Any) -> str:
    """A value of SQL."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return json.dumps(value)


class LanceDBStore:
    name = NAME
    reads: Literal["words", "vector"] = "vector"

    def __init__(self, folder: Folder, collection: str, options: Mapping[str, str]) -> None:
        self._folder = folder
        self._collection = collection
        self._columns = Columns.of(options)

    async def search(self, search: Search) -> list[Candidate]:
        async with self._folder.calling():
            table = await self._folder.open(search.collection or self._collection)
            return await table.search(self._columns, search)

    async def close(self) -> None:
        self._folder.close()


class LanceDBWriter:
    name = NAME
    wants_vectors = True

    def __init__(self, folder: Folder, collection: str, options: Mapping[str, str]) -> None:
        self._folder = folder
        self._collection = collection
        self._columns = Columns.of(options)
        if LABELS in self._columns or len({*self._columns}) < len(self._columns):
            raise LoadFailed(
                "setting store: where chunks are written, ?id=, ?text=, ?vector= and ?metadata= "
                f"name different columns, and none is {LABELS}"
            )
        self._table: Table | None = None
        self._changed = False

    async def held(self) -> list[Held]:
        async with self._folder.calling():
            table = await self._folder.find(self._collection)
            if table is None:
                return []
            self._check(table)
            columns = self._columns
            query = table.table.query().select([columns.id, columns.metadata])
            rows = (await query.to_arrow()).to_pylist()
            with reading(NAME):
                return [held_as(row[columns.id], table.facts(columns, row)) for row in rows]

    async def put(self, chunks: Sequence[Candidate], vectors: Sequence[Sequence[float]]) -> None:
        async with self._folder.calling():
            table = await self._open(len(vectors[0]))
            check_size(NAME, table.vector_size(self._columns), len(vectors[0]))
            rows = [self._row(chunk, vector) for chunk, vector in zip(chunks, vectors, strict=True)]
            merge = table.table.merge_insert(self._columns.id)
            await merge.when_matched_update_all().when_not_matched_insert_all().execute(rows)
            self._changed = True

    def _row(self, chunk: Candidate, vector: Sequence[float]) -> dict[str, Any]:
        columns = self._columns
        facts = sound(dict(chunk.metadata))
        return {
            columns.id: chunk.id,
            columns.text: sound(chunk.text),
            columns.metadata: to_json(facts).decode(),
            LABELS: labels_of(facts),
            columns.vector: list(vector),
        }

    async def remove(self, ids: Sequence[str]) -> None:
        async with self._folder.calling():
            table = await self._folder.open(self._collection)
            for start in range(0, len(ids), IDS_PER_REMOVAL):
                names = ", ".join(map(literal, ids[start : start + IDS_PER_REMOVAL]))
                await table.table.delete(f"`{self._columns.id}` in ({names})")
            self._changed = True

    async def _open(self, size: int) -> Table:
        if self._table is None:
            table = await self._folder.find(self._collection)
            self._table = table or await self._folder.make(self._collection, self._columns, size)
            self._check(self._table)
        return self._table

    def _check(self, table: Table) -> None:
        if not table.is_ours:
            raise failed(
                "another program made this collection: set another RERANKD_COLLECTION to fill"
            )

    async def close(self) -> None:
        """Each batch is a file of its own, so they are joined, and replaced ones removed."""
        try:
            if self._changed:
                async with self._folder.calling():
                    table = await self._folder.open(self._collection)
                    await table.table.optimize(cleanup_older_than=OLD)
        finally:
            self._folder.close()
