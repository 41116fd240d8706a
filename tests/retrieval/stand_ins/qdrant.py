"""Qdrant's collections and points as https://api.qdrant.tech describes them, in memory."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from tests.retrieval.stand_ins.serving import (
    StoreRequest,
    StoreResponse,
    Strict,
    Undocumented,
    at,
    cosine,
    only,
)

Id = int | str
WRITES = ("PUT points", "POST points/delete")
Vectors = list[float] | dict[str, list[float]]


class VectorParams(Strict):
    size: int = Field(ge=1, le=65536)
    distance: Literal["Cosine"]


class CreateCollection(Strict):
    vectors: VectorParams | dict[str, VectorParams]


class PointStruct(Strict):
    id: Id
    vector: Vectors
    payload: dict[str, Any]


class PointsList(Strict):
    points: list[PointStruct] = Field(min_length=1)


class PointIds(Strict):
    points: list[Id] = Field(min_length=1)


class Scroll(Strict):
    limit: int = Field(ge=1)
    offset: Id | None = None
    with_payload: list[str]
    with_vector: Literal[False]


class MatchValue(Strict):
    value: bool | int | str


class Range(Strict):
    gte: float
    lte: float


class Condition(Strict):
    key: str
    match: MatchValue | None = None
    range: Range | None = None

    def holds(self, payload: dict[str, Any]) -> bool:
        """A match compares types too: a number is not the text of it, nor is true 1."""
        value = at(payload, self.key)
        if self.range is not None:
            number = isinstance(value, int | float) and not isinstance(value, bool)
            return number and self.range.gte <= value <= self.range.lte
        if self.match is None:
            raise Undocumented("a condition of nothing")
        return type(value) is type(self.match.value) and value == self.match.value


class Filter(Strict):
    must: list[Condition] = Field(min_length=1)


class Query(Strict):
    query: list[float]
    using: str | None = None
    limit: int = Field(ge=1)
    with_payload: Literal[True]
    filter: Filter | None = None


class Collection:
    def __init__(self, vectors: VectorParams | dict[str, VectorParams]) -> None:
        self.vectors = vectors
        self.points: dict[Id, PointStruct] = {}

    def size(self, using: str | None) -> int | None:
        params = self.vectors
        if isinstance(params, dict):
            return params[using].size if using in params else None
        return None if using else params.size


class Qdrant:
    def __init__(self) -> None:
        self._collections: dict[str, Collection] = {}

    def left_open(self) -> list[str]:
        return []

    def answer(self, request: StoreRequest) -> StoreResponse:
        _, root, name, *rest = [*request.path.split("/"), ""]
        if root != "collections" or not name:
            raise Undocumented("no such path")
        verb = f"{request.method} {'/'.join(rest)}".rstrip("/ ")
        if request.params != ({"wait": "true"} if verb in WRITES else {}):
            raise Undocumented("?wait=true is for writes, which the next request may not see else")
        if verb == "PUT":
            return self._create(name, CreateCollection.model_validate_json(request.body))
        if name not in self._collections:
            return failed(404, f"Not found: Collection `{name}` doesn't exist!")
        if verb == "DELETE":
            del self._collections[name]
            return succeeded(True)
        return answer(self._collections[name], verb, request.body)

    def _create(self, name: str, body: CreateCollection) -> StoreResponse:
        if name in self._collections:
            return failed(409, f"Wrong input: Collection `{name}` already exists!")
        self._collections[name] = Collection(body.vectors)
        return succeeded(True)


def answer(collection: Collection, verb: str, body: bytes) -> StoreResponse:
    match verb:
        case "GET":
            return described(collection)
        case "PUT points":
            return upsert(collection, PointsList.model_validate_json(body))
        case "POST points/delete":
            return delete(collection, PointIds.model_validate_json(body))
        case "POST points/scroll":
            return scroll(collection, Scroll.model_validate_json(body))
        case "POST points/query":
            return query(collection, Query.model_validate_json(body))
    raise Undocumented("no such path")


def succeeded(result: Any) -> StoreResponse:
    return StoreResponse(200, {"result": result, "status": "ok", "time": 0.001})


def failed(status: int, reason: str) -> StoreResponse:
    return StoreResponse(status, {"status": {"error": reason}, "time": 0.0})


def described(collection: Collection) -> StoreResponse:
    vectors = collection.vectors
    shown = (
        {name: vector.model_dump() for name, vector in vectors.items()}
        if isinstance(vectors, dict)
        else vectors.model_dump()
    )
    return succeeded(
        {
            "status": "green",
            "points_count": len(collection.points),
            "segments_count": 1,
            "config": {"params": {"vectors": shown, "shard_number": 1, "on_disk_payload": True}},
            "payload_schema": {},
        }
    )


def checked(name: Id) -> None:
    """Strings are UUIDs; Qdrant refuses any other."""
    if isinstance(name, str) and str(UUID(name)) != name:
        raise Undocumented(f"{name} is no valid point id")


def upsert(collection: Collection, body: PointsList) -> StoreResponse:
    for point in body.points:
        checked(point.id)
        named = point.vector if isinstance(point.vector, dict) else {None: point.vector}
        for using, vector in named.items():
            size = collection.size(using)
            if size is None:
                return failed(400, f"Wrong input: Not existing vector name error: {using}")
            if size != len(vector):
                reason = f"Vector dimension error: expected dim: {size}, got {len(vector)}"
                return failed(400, f"Wrong input: {reason}")
    collection.points |= {point.id: point for point in body.points}
    return succeeded({"operation_id": 0, "status": "completed"})


def delete(collection: Collection, body: PointIds) -> StoreResponse:
    for name in body.points:
        checked(name)
        collection.points.pop(name, None)
    return succeeded({"operation_id": 1, "status": "completed"})


def scroll(collection: Collection, body: Scroll) -> StoreResponse:
    """Pages go by id; the offset is the first id of the next."""
    names = sorted(collection.points, key=str)
    first = 0 if body.offset is None else names.index(body.offset)
    page = names[first : first + body.limit]
    rest = names[first + body.limit :]
    points = [
        {"id": name, "payload": only(collection.points[name].payload, body.with_payload)}
        for name in page
    ]
    return succeeded({"points": points, "next_page_offset": rest[0] if rest else None})


def query(collection: Collection, body: Query) -> StoreResponse:
    if collection.size(body.using) != len(body.query):
        return failed(400, "Wrong input: Vector dimension error")
    conditions = body.filter.must if body.filter else []
    hits: list[dict[str, Any]] = [
        {
            "id": point.id,
            "version": 0,
            "score": cosine(body.query, chosen(point.vector, body.using)),
            "payload": point.payload,
        }
        for point in collection.points.values()
        if all(condition.holds(point.payload) for condition in conditions)
    ]
    best = sorted(hits, key=lambda point: -point["score"])[: body.limit]
    return succeeded({"points": best})


def chosen(vector: Vectors, using: str | None) -> list[float]:
    return vector[using or ""] if isinstance(vector, dict) else vector
