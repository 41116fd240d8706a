"""The REST API of Milvus (/v2/vectordb) after its source, over the real engine of milvus-lite.

milvus-lite has no REST API, and the server of PyPI's `milvus` has only /v1. So the requests and the
answers are ours; expressions, schemas and searches are read by Milvus' own engine.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from milvus_lite import (
    CollectionNotFoundError,
    CollectionSchema,
    DataType,
    FieldSchema,
    FilterError,
    MilvusLite,
    SchemaValidationError,
)
from pydantic import Field

from tests.retrieval.stand_ins.serving import StoreRequest, StoreResponse, Strict, Undocumented

TYPES = {
    "VarChar": DataType.VARCHAR,
    "JSON": DataType.JSON,
    "FloatVector": DataType.FLOAT_VECTOR,
}
PREFIX = "/v2/vectordb/"
MAX_ROWS = 16_384


class Named(Strict):
    collection_name: str = Field(alias="collectionName", pattern="^[A-Za-z_][A-Za-z0-9_]*$")
    database: str = Field("default", alias="dbName")


class TypeParams(Strict):
    dim: str | None = None
    max_length: str | None = None


class NewField(Strict):
    field_name: str = Field(alias="fieldName")
    data_type: Literal["VarChar", "JSON", "FloatVector"] = Field(alias="dataType")
    is_primary: bool = Field(False, alias="isPrimary")
    params: TypeParams = Field(TypeParams(), alias="elementTypeParams")


class Schema(Strict):
    auto_id: Literal[False] = Field(alias="autoId")
    dynamic: bool = Field(alias="enableDynamicField")
    fields: list[NewField]


class IndexParam(Strict):
    field_name: str = Field(alias="fieldName")
    index_name: str = Field(alias="indexName")
    metric_type: Literal["COSINE"] = Field(alias="metricType")
    index_type: Literal["AUTOINDEX"] = Field(alias="indexType")


class Create(Named):
    made_of: Schema = Field(alias="schema")
    indexes: list[IndexParam] = Field(alias="indexParams", min_length=1)


class Query(Named):
    filter: str
    limit: int = Field(ge=1, le=MAX_ROWS)
    output_fields: list[str] = Field(alias="outputFields")
    consistency: Literal["Strong"] = Field(alias="consistencyLevel")


class Upsert(Named):
    data: list[dict[str, Any]] = Field(min_length=1)


class Delete(Named):
    filter: str


class Search(Named):
    data: list[list[float]] = Field(min_length=1, max_length=1)
    anns_field: str = Field(alias="annsField")
    limit: int = Field(ge=1, le=MAX_ROWS)
    output_fields: list[Literal["*"]] = Field(alias="outputFields")
    filter: str | None = None


class Milvus:
    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._engine = MilvusLite(str(Path(self._folder.name) / "data"))
        self._lock = threading.Lock()

    def left_open(self) -> list[str]:
        """Called at the end, so what this stand-in holds is released here."""
        self._engine.close()
        self._folder.cleanup()
        return []

    def answer(self, request: StoreRequest) -> StoreResponse:
        if request.method != "POST" or not request.path.startswith(PREFIX):
            raise Undocumented("no such path")
        with self._lock:
            try:
                data = self._answer(request.path.removeprefix(PREFIX), request.body)
            except CollectionNotFoundError as error:
                return failed(100, str(error))
            except (FilterError, SchemaValidationError, ValueError, KeyError) as error:
                return failed(1100, str(error))
        return StoreResponse(200, {"code": 0, "data": data})

    def _answer(self, path: str, body: bytes) -> Any:
        actions: dict[str, tuple[type[Named], Callable[[Any], Any]]] = {
            "collections/create": (Create, self._create),
            "collections/describe": (Named, self._describe),
            "collections/drop": (Named, self._drop),
            "entities/upsert": (Upsert, self._upsert),
            "entities/delete": (Delete, self._delete),
            "entities/query": (Query, self._query),
            "entities/search": (Search, self._search),
        }
        if path not in actions:
            raise Undocumented("no such path")
        kind, act = actions[path]
        return act(kind.model_validate_json(body))

    def _of(self, body: Named) -> Any:
        return self._engine.get_collection(body.collection_name)

    def _create(self, body: Create) -> dict[str, Any]:
        fields = [
            FieldSchema(
                name=field.field_name,
                dtype=TYPES[field.data_type],
                is_primary=field.is_primary,
                dim=int(field.params.dim) if field.params.dim else None,
                max_length=int(field.params.max_length) if field.params.max_length else None,
            )
            for field in body.made_of.fields
        ]
        schema = CollectionSchema(fields, enable_dynamic_field=body.made_of.dynamic)
        collection = self._engine.create_collection(body.collection_name, schema)
        for index in body.indexes:
            collection.create_index(
                index.field_name, {"index_type": "AUTOINDEX", "metric_type": "COSINE", "params": {}}
            )
        collection.load()
        return {}

    def _describe(self, body: Named) -> dict[str, Any]:
        """Numbers among the parameters are texts."""
        return {
            "collectionName": body.collection_name,
            "load": "LoadStateLoaded",
            "fields": [
                {
                    "name": field.name,
                    "type": next(name for name, kind in TYPES.items() if kind is field.dtype),
                    "primaryKey": field.is_primary,
                    "params": [{"key": "dim", "value": str(field.dim)}] if field.dim else None,
                }
                for field in self._of(body).schema.fields
            ],
        }

    def _drop(self, body: Named) -> dict[str, Any]:
        self._engine.drop_collection(body.collection_name)
        return {}

    def _upsert(self, body: Upsert) -> dict[str, Any]:
        ids = self._of(body).upsert(body.data)
        return {"upsertCount": len(ids), "upsertIds": ids}

    def _delete(self, body: Delete) -> dict[str, Any]:
        collection = self._of(body)
        rows = collection.query(expr=body.filter, output_fields=[collection.pk_field])
        collection.delete([row[collection.pk_field] for row in rows])
        return {}

    def _query(self, body: Query) -> list[dict[str, Any]]:
        collection = self._of(body)
        rows = collection.query(
            expr=body.filter, output_fields=body.output_fields, limit=body.limit
        )
        return [as_row(row) for row in rows]

    def _search(self, body: Search) -> list[dict[str, Any]]:
        hits = self._of(body).search(
            body.data, top_k=body.limit, expr=body.filter, anns_field=body.anns_field
        )[0]
        return [
            {**as_row(hit["entity"]), "id": hit["id"], "distance": hit["distance"]} for hit in hits
        ]


def as_row(fields: dict[str, Any]) -> dict[str, Any]:
    """Dynamic fields stand beside the others; an absent one is absent."""
    row = {name: value for name, value in fields.items() if value is not None}
    dynamic = row.pop("$meta", None) or {}
    return row | dynamic


def failed(code: int, reason: str) -> StoreResponse:
    """The status is 200 all the same."""
    return StoreResponse(200, {"code": code, "message": reason})
