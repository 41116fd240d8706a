"""Collections of MongoDB with an index of vectors, searched and filled."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Literal, NamedTuple

import bson
from bson import CodecOptions
from pydantic_core import to_json
from pymongo import ReplaceOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.operations import SearchIndexModel

from app.retrieval.endpoint import (
    MAX_ANSWER_BYTES,
    as_candidate,
    as_mapping,
    as_number,
    find,
    reading,
    sound,
    with_text,
)
from app.retrieval.store import Candidate, Search
from app.retrieval.stores.equality import equality
from app.retrieval.stores.labels import LABELS, label, labels_of
from app.retrieval.stores.mongodb_driver import NAME, Database, Raw, failed
from app.retrieval.writer import Held, check_size, held_as

INDEX = "rerankd"
VECTOR = "embedding"
SCORE = "rerankd_score"
# Of the neighbours that the graph is searched for; MongoDB recommends 20 times the results.
BREADTH = 20
MAX_CANDIDATES = 10_000
IDS_PER_REMOVAL = 1000
LOST = (
    "has no such collection, or no index of vectors for it: `rerankd ingest` makes both, or set "
    "RERANKD_COLLECTION and ?index="
)


class Index(NamedTuple):
    """An index of vectors. `is_ours`: `rerankd ingest` made it."""

    is_ours: bool
    is_ready: bool
    filters: frozenset[str]
    vector_size: int | None


async def index_of(collection: AsyncCollection[Raw], name: str) -> Index | None:
    async for raw in await collection.aggregate([{"$listSearchIndexes": {"name": name}}]):
        with reading(NAME):
            description = decoded(raw)
            fields = description["latestDefinition"]["fields"]
            filters = frozenset(each["path"] for each in fields if each["type"] == "filter")
            sizes = [each["numDimensions"] for each in fields if each["type"] == "vector"]
            ready = bool(description["queryable"])
            return Index(LABELS in filters, ready, filters, sizes[0] if sizes else None)
    return None


def decoded(raw: Raw) -> dict[str, Any]:
    document: dict[str, Any] = bson.decode(raw.raw, CodecOptions(tz_aware=True))
    return document


def plain(value: Any) -> Any:
    """Types of BSON as types of JSON."""
    match value:
        case dict():
            return {name: plain(part) for name, part in value.items()}
        case list():
            return [plain(part) for part in value]
        case bytes():
            return None
        case None | str() | int() | float():
            return value
        case date():
            return value.isoformat()
    return str(value)


class MongoStore:
    name = NAME
    reads: Literal["words", "vector"] = "vector"

    def __init__(self, database: Database, collection: str, options: Mapping[str, str]) -> None:
        self._database = database
        self._collection = collection
        self._index = options.get("index", INDEX)
        self._text = options.get("text", "text")
        self._vector = options.get("vector", VECTOR)
        self._metadata = options.get("metadata", "")
        self._indexes: dict[str, Index] = {}

    async def search(self, search: Search) -> list[Candidate]:
        name = search.collection or self._collection
        collection = self._database.collection(name)
        async with self._database.calling():
            index = self._indexes.get(name) or await self._look_up(name, collection)
            rows = await self._rows(collection, self._stage(index, search))
            if not rows:
                # A collection or an index that does not exist has no matches either.
                await self._look_up(name, collection)
        with reading(NAME):
            return with_text(NAME, [self._candidate(index, row) for row in rows])

    async def _look_up(self, name: str, collection: AsyncCollection[Raw]) -> Index:
        self._indexes.pop(name, None)
        index = await index_of(collection, self._index)
        if index is None:
            raise failed(LOST)
        if not index.is_ready:
            raise failed("is still building the index of the collection: try again later")
        self._indexes[name] = index
        return index

    def _stage(self, index: Index, search: Search) -> dict[str, Any]:
        stage: dict[str, Any] = {
            "index": self._index,
            "path": VECTOR if index.is_ours else self._vector,
            "queryVector": list(search.vector or ()),
            "numCandidates": min(BREADTH * search.k, MAX_CANDIDATES),
            "limit": search.k,
        }
        if condition := equality(self._pairs(index, search.filters)):
            stage["filter"] = condition
        return stage

    def _pairs(self, index: Index, filters: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        for name, value in filters.items():
            if index.is_ours:
                yield LABELS, label(name, value)
                continue
            path = f"{self._metadata}.{name}" if self._metadata else name
            if path not in index.filters:
                raise failed(f"has no filter of that name in its index: add the path {path} to it")
            yield path, value

    async def _rows(
        self, collection: AsyncCollection[Raw], stage: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        path = stage["path"]
        score = {"$addFields": {SCORE: {"$meta": "vectorSearchScore"}}}
        rows, size = [], 0
        cursor = await collection.aggregate([{"$vectorSearch": stage}, score, {"$unset": path}])
        async with cursor:
            async for raw in cursor:
                size += len(raw.raw)
                if size > MAX_ANSWER_BYTES:
                    raise failed(f"answered more than {MAX_ANSWER_BYTES} bytes")
                rows.append(decoded(raw))
        return rows

    def _candidate(self, index: Index, row: dict[str, Any]) -> Candidate | None:
        name, score = str(row.pop("_id")), as_number(row.pop(SCORE))
        if index.is_ours:
            return as_candidate(name, row["text"], json.loads(row["metadata"]), score)
        document = plain(row)
        text = find(document, self._text)
        if self._metadata:
            return as_candidate(name, text, find(document, self._metadata), score)
        facts = {field: value for field, value in document.items() if field != self._text}
        return as_candidate(name, text, facts, score)

    async def close(self) -> None:
        await self._database.close()


class MongoWriter:
    name = NAME
    wants_vectors = True

    def __init__(self, database: Database, collection: str) -> None:
        self._database = database
        self._name = collection
        self._collection = database.collection(collection)
        self._index: Index | None = None

    async def held(self) -> list[Held]:
        held = []
        async with self._database.calling():
            await self._check()
            async for raw in self._collection.find({}, {"metadata": 1}):
                with reading(NAME):
                    row = decoded(raw)
                    facts = as_mapping(json.loads(row["metadata"]))
                    held.append(held_as(str(row["_id"]), facts))
        return held

    async def put(self, chunks: Sequence[Candidate], vectors: Sequence[Sequence[float]]) -> None:
        rows = [self._row(chunk, vector) for chunk, vector in zip(chunks, vectors, strict=True)]
        async with self._database.calling():
            await self._fit(len(vectors[0]))
            await self._collection.bulk_write(rows, ordered=False)

    def _row(self, chunk: Candidate, vector: Sequence[float]) -> ReplaceOne[Any]:
        facts = sound(dict(chunk.metadata))
        row = {
            "_id": chunk.id,
            "text": sound(chunk.text),
            "metadata": to_json(facts).decode(),
            LABELS: labels_of(facts),
            VECTOR: list(map(float, vector)),
        }
        return ReplaceOne({"_id": chunk.id}, row, upsert=True)

    async def remove(self, ids: Sequence[str]) -> None:
        async with self._database.calling():
            for start in range(0, len(ids), IDS_PER_REMOVAL):
                names = list(ids[start : start + IDS_PER_REMOVAL])
                await self._collection.delete_many({"_id": {"$in": names}})

    async def _fit(self, size: int) -> None:
        """Creates collection and index if they are missing, and checks the size of vectors."""
        if self._index is None:
            await self._check()
            self._index = await index_of(self._collection, INDEX)
        if self._index is None:
            await self._database.create(self._name)
            fields = [
                {"type": "vector", "path": VECTOR, "numDimensions": size, "similarity": "cosine"},
                {"type": "filter", "path": LABELS},
            ]
            await self._collection.create_search_index(
                SearchIndexModel({"fields": fields}, name=INDEX, type="vectorSearch")
            )
            self._index = Index(True, False, frozenset({LABELS}), size)
        check_size(NAME, self._index.vector_size or size, size)

    async def _check(self) -> None:
        if await self._collection.find_one({LABELS: {"$exists": False}}, {"_id": 1}) is not None:
            raise failed(
                "has a collection of this name that another program filled: set another "
                "RERANKD_COLLECTION to fill"
            )

    async def close(self) -> None:
        await self._database.close()
