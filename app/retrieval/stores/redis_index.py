"""Indexes of Redis: searched, and filled by `rerankd ingest`."""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from itertools import pairwise
from math import isnan
from typing import Any, Literal, NamedTuple

from pydantic_core import to_json

from app.errors import UpstreamFailed
from app.retrieval.endpoint import (
    MAX_ANSWER_BYTES,
    as_candidate,
    as_mapping,
    find,
    reading,
    sound,
    with_text,
)
from app.retrieval.store import Candidate, Search
from app.retrieval.stores.labels import LABELS, label, labels_of
from app.retrieval.stores.redis_server import LOST, NAME, RedisServer, failed
from app.retrieval.writer import Held, check_size, held_as

# Not `rerankd:`, which the shared cache of scores uses.
PREFIX = "rerankd-store:"
DISTANCE = "rerankd_distance"
VECTOR = "embedding"
PAGE = 1000
# The graph is searched this broadly; Redis' default of 10 misses neighbours.
GRAPH = ("M", 32, "EF_CONSTRUCTION", 200, "EF_RUNTIME", 200)


class Shape(NamedTuple):
    """What an index is. `is_ours`: `rerankd ingest` made it."""

    is_ours: bool
    fields: Mapping[str, str]  # the type of each
    vector_size: int | None


async def shape_of(server: RedisServer, index: str) -> Shape:
    answer = await server.call("FT.INFO", index)
    with reading(NAME):
        described = dict(zip(answer[::2], answer[1::2], strict=True))
        fields, size = {}, None
        for attribute in described[b"attributes"]:
            words = [word.decode() for word in flat(attribute)]
            after = dict(pairwise(words))
            fields[after["attribute"]] = after["type"]
            # Valkey describes an index with other words than Redis.
            number = after.get("dim") or after.get("dimensions")
            size = int(number) if number else size
        return Shape(LABELS in fields, fields, size)


def flat(value: Any) -> Iterator[bytes]:
    if isinstance(value, list):
        for part in value:
            yield from flat(part)
    else:
        yield value if isinstance(value, bytes) else str(value).encode()


def tag(text: str) -> str:
    """A label as a word of the query language: a label itself may hold anything."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]


def escaped(text: str) -> str:
    return re.sub(r"(\W)", r"\\\1", text)


def packed(vector: Sequence[float]) -> bytes:
    return struct.pack(f"<{len(vector)}f", *vector)


class RedisStore:
    name = NAME
    reads: Literal["words", "vector"] = "vector"

    def __init__(self, server: RedisServer, collection: str, options: Mapping[str, str]) -> None:
        self._server = server
        self._collection = collection
        self._text = options.get("text", "text")
        self._vector = options.get("vector", VECTOR)
        self._metadata = options.get("metadata", "")
        self._shapes: dict[str, Shape] = {}

    async def search(self, search: Search) -> list[Candidate]:
        index = search.collection or self._collection
        try:
            if index not in self._shapes:
                self._shapes[index] = await shape_of(self._server, index)
            return await self._search(index, self._shapes[index], search)
        except UpstreamFailed:
            # Another index may have the name by now.
            self._shapes.pop(index, None)
            raise

    async def _search(self, index: str, shape: Shape, search: Search) -> list[Candidate]:
        conditions = [condition(shape, *each) for each in search.filters.items()]
        if None in conditions:
            return []
        which = f"({' '.join(filter(None, conditions))})" if conditions else "*"
        field = VECTOR if shape.is_ours else self._vector
        if shape.fields.get(field) != "VECTOR":
            # Redis answers nothing in this case.
            raise failed("has no vectors in that field: name theirs with ?vector=")
        returned = ("RETURN", 3, "text", "metadata", DISTANCE) if shape.is_ours else ()
        answer = await self._server.call(
            *("FT.SEARCH", index, f"{which}=>[KNN {search.k} @{field} $vector AS {DISTANCE}]"),
            *("PARAMS", 2, "vector", packed(search.vector or ())),
            *returned,
            *("LIMIT", 0, search.k, "TIMEOUT", max(1, int(self._server.seconds * 1000))),
            *("DIALECT", 2),
        )
        with reading(NAME):
            rows = list(zip(answer[1::2], map(as_fields, answer[2::2]), strict=True))
        check_bytes(rows)
        with reading(NAME):
            prefix = f"{PREFIX}{index}:" if shape.is_ours else ""
            candidates = [
                self._candidate(shape, key.decode().removeprefix(prefix), row)
                for key, row in sorted(rows, key=lambda row: float(row[1][DISTANCE]))
            ]
            return with_text(NAME, candidates)

    def _candidate(self, shape: Shape, name: str, row: dict[str, bytes]) -> Candidate | None:
        distance = float(row.pop(DISTANCE))
        score = None if isnan(distance) else 1 - distance
        if shape.is_ours:
            return as_candidate(name, row["text"].decode(), json.loads(row["metadata"]), score)
        # A document of JSON comes whole, as the field `$`.
        document = json.loads(row["$"]) if "$" in row else dict(readable(row))
        document.pop(self._vector, None)
        text = find(document, self._text)
        if not self._metadata:
            facts = {field: value for field, value in document.items() if field != self._text}
            return as_candidate(name, text, facts, score)
        kept = document.get(self._metadata)
        return as_candidate(name, text, json.loads(kept) if isinstance(kept, str) else kept, score)

    async def close(self) -> None:
        await self._server.close()


def as_fields(pairs: Sequence[bytes]) -> dict[str, bytes]:
    return {name.decode(): value for name, value in zip(pairs[::2], pairs[1::2], strict=True)}


def readable(row: Mapping[str, bytes]) -> Iterator[tuple[str, str]]:
    """Without fields that hold numbers as bytes."""
    for name, value in row.items():
        try:
            yield name, value.decode()
        except UnicodeDecodeError:
            continue


def check_bytes(rows: Sequence[tuple[bytes, Mapping[str, bytes]]]) -> None:
    if sum(len(value) for _, row in rows for value in row.values()) > MAX_ANSWER_BYTES:
        raise failed(f"answered more than {MAX_ANSWER_BYTES} bytes")


def condition(shape: Shape, name: str, value: Any) -> str | None:
    """A filter in the query language; None where nothing can match."""
    if shape.is_ours:
        return f"@{LABELS}:{{{tag(label(name, value))}}}"
    field = f"@{escaped(name)}"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match shape.fields.get(name):
        case "NUMERIC" if is_number:
            return f"{field}:[{value} {value}]"
        case "TAG" if value != "":
            text = value if isinstance(value, str) else json.dumps(value)
            return f"{field}:{{{escaped(text)}}}"
    return None


class RedisWriter:
    name = NAME
    wants_vectors = True

    def __init__(self, server: RedisServer, collection: str) -> None:
        self._server = server
        self._index = collection
        self._prefix = f"{PREFIX}{collection}:"
        self._shape: Shape | None = None

    async def held(self) -> list[Held]:
        if await self._find() is None:
            return []
        held: dict[str, Held] = {}
        async for keys in self._keys():
            rows = await self._server.call_all([("HGET", key, "metadata") for key in keys])
            with reading(NAME):
                for key, metadata in zip(keys, rows, strict=True):
                    if metadata is not None:
                        name = key.decode().removeprefix(self._prefix)
                        held[name] = held_as(name, as_mapping(json.loads(metadata)))
        return list(held.values())

    async def _keys(self) -> AsyncIterator[list[bytes]]:
        """Some may come twice."""
        cursor, pattern = 0, f"{self._prefix}*"
        while True:
            page = await self._server.call("SCAN", cursor, "MATCH", pattern, "COUNT", PAGE)
            with reading(NAME):
                cursor, keys = int(page[0]), list(page[1])
            if keys:
                yield keys
            if cursor == 0:
                return

    async def put(self, chunks: Sequence[Candidate], vectors: Sequence[Sequence[float]]) -> None:
        await self._fit(len(vectors[0]))
        rows = [self._row(chunk, vector) for chunk, vector in zip(chunks, vectors, strict=True)]
        await self._server.call_all(rows)

    def _row(self, chunk: Candidate, vector: Sequence[float]) -> Sequence[str | bytes]:
        facts = sound(dict(chunk.metadata))
        labels = ",".join(map(tag, labels_of(facts)))
        fields = ("text", sound(chunk.text), "metadata", to_json(facts), LABELS, labels)
        return ("HSET", f"{self._prefix}{chunk.id}", *fields, VECTOR, packed(vector))

    async def remove(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), PAGE):
            names = ids[start : start + PAGE]
            await self._server.call("DEL", *(f"{self._prefix}{name}" for name in names))

    async def _fit(self, size: int) -> None:
        """Creates the index if it is missing, and checks the size of its vectors."""
        if self._shape is None and await self._find() is None:
            await self._server.call(
                *("FT.CREATE", self._index, "ON", "HASH", "PREFIX", 1, self._prefix, "SCHEMA"),
                *(LABELS, "TAG", "CASESENSITIVE", VECTOR, "VECTOR", "HNSW", 6 + len(GRAPH)),
                *("TYPE", "FLOAT32", "DIM", size, "DISTANCE_METRIC", "COSINE", *GRAPH),
            )
            await self._find()
        if self._shape is not None and self._shape.vector_size is not None:
            check_size(NAME, self._shape.vector_size, size)

    async def _find(self) -> Shape | None:
        try:
            shape = await shape_of(self._server, self._index)
        except UpstreamFailed as error:
            if LOST not in str(error):
                raise
            self._shape = None
            return None
        if not shape.is_ours:
            raise failed(
                "has an index of this name that another program made: set another "
                "RERANKD_COLLECTION to fill"
            )
        self._shape = shape
        return shape

    async def close(self) -> None:
        await self._server.close()
