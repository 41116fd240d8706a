"""An index of Pinecone as the specification of its data plane, 2025-10, describes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import parse_qsl

from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr

from tests.retrieval.stand_ins.serving import (
    StoreRequest,
    StoreResponse,
    Strict,
    Undocumented,
    cosine,
)

Value = StrictStr | StrictBool | StrictInt | StrictFloat | list[StrictStr]
Metadata = dict[str, Value]
MAX_METADATA_BYTES = 40_960
MAX_BODY_BYTES = 2_097_152


class Equal(Strict):
    value: StrictStr | StrictBool | StrictInt | StrictFloat = Field(alias="$eq")


class Both(Strict):
    parts: list[dict[str, Equal]] = Field(alias="$and", min_length=2)


class Vector(Strict):
    id: Annotated[str, Field(min_length=1, max_length=512)]
    values: list[float]
    metadata: Metadata


class Upsert(Strict):
    vectors: list[Vector] = Field(min_length=1, max_length=1000)
    namespace: str


class Delete(Strict):
    ids: list[str] = Field(min_length=1, max_length=1000)
    namespace: str


class Query(Strict):
    namespace: str
    vector: list[float]
    top_k: int = Field(alias="topK", ge=1, le=10000)
    include_metadata: bool = Field(alias="includeMetadata")
    filter: Both | dict[str, Equal] | None = None


class Pinecone:
    """Indexes by the first part of the path; in reality each has a host of its own.

    An index has the dimension that it was created with. Here the first upsert says what that was,
    and until then an index is described as one without.
    """

    def __init__(self) -> None:
        self._indexes: dict[str, Index] = {}

    def left_open(self) -> list[str]:
        return []

    def answer(self, request: StoreRequest) -> StoreResponse:
        if len(request.body) > MAX_BODY_BYTES:
            raise Undocumented("an upsert has at most 2 MB")
        name = ""
        if match := re.fullmatch(r"/(i-[^/]+)(/.*)", request.path):
            name, path = match.groups()
            request = request._replace(path=path)
        return self._indexes.setdefault(name, Index()).answer(request)


class Index:
    def __init__(self) -> None:
        self.dimension: int | None = None
        self.namespaces: dict[str, dict[str, Vector]] = {}

    def answer(self, request: StoreRequest) -> StoreResponse:
        actions: dict[str, Callable[[StoreRequest], StoreResponse]] = {
            "POST /describe_index_stats": self._describe,
            "POST /query": self._query,
            "POST /vectors/upsert": self._upsert,
            "POST /vectors/delete": self._delete,
            "GET /vectors/list": self._list,
            "GET /vectors/fetch": self._fetch,
            "DELETE /namespaces": self._delete_namespace,
        }
        path = request.path
        if path.startswith("/namespaces/"):
            path = path.rpartition("/")[0]
        if f"{request.method} {path}" not in actions:
            raise Undocumented("no such path")
        return actions[f"{request.method} {path}"](request)

    def _delete_namespace(self, request: StoreRequest) -> StoreResponse:
        del self.namespaces[request.path.rpartition("/")[2]]
        return StoreResponse(202, {})

    def _describe(self, _: StoreRequest) -> StoreResponse:
        namespaces = {name: {"vectorCount": len(held)} for name, held in self.namespaces.items()}
        total = sum(len(held) for held in self.namespaces.values())
        return StoreResponse(
            200,
            {
                "namespaces": namespaces,
                **({"dimension": self.dimension} if self.dimension else {}),
                "indexFullness": 0,
                "totalVectorCount": total,
                "metric": "cosine",
                "vectorType": "dense",
            },
        )

    def _upsert(self, request: StoreRequest) -> StoreResponse:
        body = Upsert.model_validate_json(request.body)
        self.dimension = self.dimension or len(body.vectors[0].values)
        for vector in body.vectors:
            if len(vector.values) != self.dimension:
                return failed(f"Vector dimension {len(vector.values)} does not match the index")
            if len(vector.model_dump_json(include={"metadata"})) > MAX_METADATA_BYTES:
                return failed("Metadata size exceeds the limit")
        held = self.namespaces.setdefault(body.namespace, {})
        held |= {vector.id: vector for vector in body.vectors}
        return StoreResponse(200, {"upsertedCount": len(body.vectors)})

    def _delete(self, request: StoreRequest) -> StoreResponse:
        body = Delete.model_validate_json(request.body)
        for name in body.ids:
            self.namespaces.get(body.namespace, {}).pop(name, None)
        return StoreResponse(200, {})

    def _list(self, request: StoreRequest) -> StoreResponse:
        params = dict(request.params)
        namespace, limit = params.pop("namespace"), int(params.pop("limit"))
        token = params.pop("paginationToken", "")
        if params or not 1 <= limit <= 100:
            raise Undocumented("a page has at most 100 ids")
        names = sorted(name for name in self.namespaces.get(namespace, {}) if name > token)
        answer: dict[str, Any] = {
            "vectors": [{"id": name} for name in names[:limit]],
            "namespace": namespace,
            "usage": {"readUnits": 1},
        }
        if names[limit:]:
            answer["pagination"] = {"next": names[limit - 1]}
        return StoreResponse(200, answer)

    def _fetch(self, request: StoreRequest) -> StoreResponse:
        pairs = parse_qsl(request.query)
        names = [value for key, value in pairs if key == "ids"]
        if not names or any(" " in name for name in names):
            raise Undocumented("fetch wants ids, and none with spaces")
        held = self.namespaces.get(dict(request.params)["namespace"], {})
        vectors = {name: held[name].model_dump() for name in names if name in held}
        answer = {"vectors": vectors, "namespace": "", "usage": {"readUnits": 1}}
        return StoreResponse(200, answer)

    def _query(self, request: StoreRequest) -> StoreResponse:
        body = Query.model_validate_json(request.body)
        held = self.namespaces.get(body.namespace, {})
        if held and len(body.vector) != self.dimension:
            return failed("Query vector dimension does not match the index")
        parts = body.filter.parts if isinstance(body.filter, Both) else [body.filter or {}]
        matches: list[dict[str, Any]] = [
            {
                "id": vector.id,
                "score": cosine(body.vector, vector.values),
                "values": [],
                "metadata": vector.metadata,
            }
            for vector in held.values()
            if all(holds(part, vector.metadata) for part in parts)
        ]
        best = sorted(matches, key=lambda match: -match["score"])[: body.top_k]
        answer = {"matches": best, "namespace": body.namespace, "usage": {"readUnits": 1}}
        return StoreResponse(200, answer)


def holds(part: dict[str, Equal], metadata: Metadata) -> bool:
    """All numbers have one type; a text or a boolean is none."""
    for name, equal in part.items():
        value = metadata.get(name)
        if isinstance(value, bool) != isinstance(equal.value, bool) or value != equal.value:
            return False
    return True


def failed(reason: str) -> StoreResponse:
    return StoreResponse(400, {"code": 3, "message": reason, "details": []})
