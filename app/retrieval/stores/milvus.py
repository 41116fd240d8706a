"""Milvus and Zilliz Cloud, by their REST API (/v2/vectordb). Metadata are dynamic fields."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from app.errors import LoadFailed, UpstreamFailed
from app.retrieval.endpoint import (
    Endpoint,
    as_candidate,
    as_id,
    as_mapping,
    as_number,
    find,
    reading,
    with_text,
)
from app.retrieval.store import Candidate, Search, Store
from app.retrieval.stores.kind import Opening, StoreKind
from app.retrieval.stores.layout import Layout, layout_of, layout_to_fill
from app.retrieval.writer import Held, check_size, held_as

LOST = "it has no such collection: `rerankd ingest` makes it, or set RERANKD_COLLECTION"
# The largest answer of Milvus.
MAX_ROWS = 16_384
IDS_PER_REMOVAL = 1000
# Errors have the status 200, and a code of Milvus.
NO_COLLECTION = 100
MAX_TEXT_BYTES = 65_535
MAX_ID_BYTES = 512
MAX_REASON_CHARS = 300
# Names that an expression can have without quotation marks, and words that it has for itself.
NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
WORDS = {"and", "or", "not", "in", "like", "exists", "is", "null", "true", "false"}


class Collections:
    """Requests to one database. `id` names the primary field."""

    def __init__(self, endpoint: Endpoint, database: str, layout: Layout, id_field: str) -> None:
        self._endpoint = endpoint
        self._database = {"dbName": database} if database else {}
        self.name = endpoint.name
        self.layout = layout
        self.id_field = id_field

    async def ask(self, path: str, collection: str, more: Mapping[str, Any]) -> Any:
        """The `data` of the answer."""
        body = {**self._database, "collectionName": collection, **more}
        answer = await self._endpoint.ask("POST", f"/v2/vectordb/{path}", body)
        with reading(self.name):
            code = int(as_number(answer["code"]))
            if not code:
                return answer["data"]
            reason = str(answer.get("message"))[:MAX_REASON_CHARS]
        if code == NO_COLLECTION:
            raise UpstreamFailed(f"{self.name}: {LOST}", upstream=self.name, status=404)
        raise UpstreamFailed(
            f"{self.name} refused the request (code {code}): {reason}: it may hold vectors of "
            "another embedder, or know no such field",
            upstream=self.name,
        )

    def condition(self, name: str, value: Any) -> str:
        field = self.layout.metadata
        if not field and NAME.fullmatch(name) and name.lower() not in WORDS:
            return f"{name} == {quoted(value)}"
        return f"{field or '$meta'}[{quoted(name)}] == {quoted(value)}"

    def facts(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Milvus writes a field of JSON as a text."""
        layout = self.layout
        if layout.metadata:
            value = row.get(layout.metadata)
            return as_mapping(json.loads(value) if isinstance(value, str) else value)
        own = {self.id_field, "id", "distance", layout.text, layout.vector}
        return {name: value for name, value in row.items() if name not in own}

    def id_of(self, row: Mapping[str, Any]) -> str:
        return as_id(row.get(self.id_field, row.get("id")))

    async def close(self) -> None:
        await self._endpoint.close()


class MilvusStore:
    name = "milvus"
    reads: Literal["words", "vector"] = "vector"

    def __init__(self, collections: Collections, collection: str) -> None:
        self._collections = collections
        self._collection = collection

    async def search(self, search: Search) -> list[Candidate]:
        """The distance of cosine and inner product is higher where vectors are nearer."""
        collections = self._collections
        body: dict[str, Any] = {
            "data": [search.vector],
            "annsField": collections.layout.vector,
            "limit": search.k,
            "outputFields": ["*"],
        }
        if search.filters:
            conditions = [
                collections.condition(name, value) for name, value in search.filters.items()
            ]
            body["filter"] = " and ".join(conditions)
        collection = search.collection or self._collection
        rows = await collections.ask("entities/search", collection, body)
        with reading(self.name):
            candidates = [
                as_candidate(
                    collections.id_of(row),
                    find(row, collections.layout.text),
                    collections.facts(row),
                    as_number(row["distance"]),
                )
                for row in rows
            ]
            return with_text(self.name, candidates)

    async def close(self) -> None:
        await self._collections.close()


class MilvusWriter:
    name = "milvus"
    wants_vectors = True

    def __init__(self, collections: Collections, collection: str) -> None:
        self._collections = collections
        self._collection = collection
        self._vector_size: int | None = None

    async def _ask(self, path: str, more: Mapping[str, Any]) -> Any:
        return await self._collections.ask(path, self._collection, more)

    async def held(self) -> list[Held]:
        if await self._fields() is None:
            return []
        collections = self._collections
        wanted = [collections.layout.metadata] if collections.layout.metadata else []
        names = [collections.id_field, *(wanted or ["source", "parent_doc_id"])]
        return await self._held_within("", None, names)

    async def _held_within(self, low: str, high: str | None, names: Sequence[str]) -> list[Held]:
        """Those with an id above `low`, up to `high`.

        One answer has no more than `MAX_ROWS`, in no certain order: then each half is listed.
        """
        field = self._collections.id_field
        condition = f"{field} > {quoted(low)}"
        condition += "" if high is None else f" and {field} <= {quoted(high)}"
        body = {
            "filter": condition,
            "limit": MAX_ROWS,
            "outputFields": list(names),
            "consistencyLevel": "Strong",
        }
        rows = await self._ask("entities/query", body)
        with reading(self.name):
            collections = self._collections
            held = [held_as(collections.id_of(row), collections.facts(row)) for row in rows]
        if len(held) < MAX_ROWS:
            return held
        middle = sorted(row.id for row in held)[(len(held) - 1) // 2]
        lower = await self._held_within(low, middle, names)
        return lower + await self._held_within(middle, high, names)

    async def put(self, chunks: Sequence[Candidate], vectors: Sequence[Sequence[float]]) -> None:
        await self._fit(len(vectors[0]))
        collections = self._collections
        data = []
        for chunk, vector in zip(chunks, vectors, strict=True):
            own = {collections.id_field: chunk.id, collections.layout.vector: list(vector)}
            data.append(collections.layout.fields(self.name, chunk, own))
        await self._ask("entities/upsert", {"data": data})

    async def remove(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), IDS_PER_REMOVAL):
            names = quoted(list(ids[start : start + IDS_PER_REMOVAL]))
            selection = f"{self._collections.id_field} in {names}"
            await self._ask("entities/delete", {"filter": selection})

    async def _fit(self, size: int) -> None:
        """Creates the collection if it is missing, and checks the size of its vectors."""
        if self._vector_size is None:
            fields = await self._fields()
            if fields is None:
                await self._make(size)
            self._vector_size = size if fields is None else self._size_of(fields)
        check_size(self.name, self._vector_size, size)

    async def _make(self, size: int) -> None:
        """With indexes, it is loaded at once."""
        layout, id_field = self._collections.layout, self._collections.id_field
        fields = [
            varchar(id_field, MAX_ID_BYTES) | {"isPrimary": True},
            varchar(layout.text, MAX_TEXT_BYTES),
            {
                "fieldName": layout.vector,
                "dataType": "FloatVector",
                "elementTypeParams": {"dim": str(size)},
            },
        ]
        if layout.metadata:
            fields.append({"fieldName": layout.metadata, "dataType": "JSON"})
        index = {
            "fieldName": layout.vector,
            "indexName": layout.vector,
            "metricType": "COSINE",
            "indexType": "AUTOINDEX",
        }
        schema = {"autoId": False, "enableDynamicField": not layout.metadata, "fields": fields}
        await self._ask("collections/create", {"schema": schema, "indexParams": [index]})

    def _size_of(self, fields: Sequence[Mapping[str, Any]]) -> int:
        with reading(self.name):
            params = {
                entry["key"]: entry["value"]
                for field in fields
                if field["name"] == self._collections.layout.vector
                for entry in field.get("params") or ()
            }
            if "dim" in params:
                return int(params["dim"])
        raise UpstreamFailed(
            "milvus: the collection's vectors have other names: name one with ?vector=, or set "
            "another RERANKD_COLLECTION",
            upstream=self.name,
        )

    async def _fields(self) -> Sequence[Mapping[str, Any]] | None:
        """The fields of the collection; None if there is no collection."""
        try:
            answer = await self._ask("collections/describe", {})
        except UpstreamFailed as error:
            if error.status != 404:
                raise
            return None
        with reading(self.name):
            return list(answer["fields"])

    async def close(self) -> None:
        await self._collections.close()


def quoted(value: Any) -> str:
    """A value in an expression of Milvus, which has the literals of JSON."""
    return json.dumps(value, ensure_ascii=False)


def varchar(name: str, size: int) -> dict[str, Any]:
    return {
        "fieldName": name,
        "dataType": "VarChar",
        "elementTypeParams": {"max_length": str(size)},
    }


def collections_of(opening: Opening, layout: Layout) -> Collections:
    options = opening.address.options
    endpoint = opening.endpoint({"Authorization": "Bearer {key}"}, LOST)
    layout = layout._replace(vector=layout.vector or "vector")
    id_field = options.get("id") or "id"
    if any(name and not NAME.fullmatch(name) for name in (*layout, id_field)):
        raise LoadFailed("setting store: names of fields in Milvus have letters, digits and _ only")
    return Collections(endpoint, opening.address.path, layout, id_field)


def open_stores(opening: Opening) -> list[Store]:
    layout = layout_of(opening.address.options)
    return [MilvusStore(collections_of(opening, layout), opening.collection)]


def open_writer(opening: Opening) -> MilvusWriter:
    layout = layout_to_fill(opening.address.options)
    return MilvusWriter(collections_of(opening, layout), opening.collection)


STORE = StoreKind(
    title="Milvus",
    schemes=("milvus",),
    examples=("milvus://host:19530",),
    default_port=19530,
    reads="vectors",
    tested_against="the engine of milvus-lite 3.2.2, behind a REST API after its source",
    open_stores=open_stores,
    open_writer=open_writer,
)
