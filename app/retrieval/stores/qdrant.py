"""Qdrant, by its REST API. `?text=` names the payload's text, `?metadata=` what holds the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from app.errors import UpstreamFailed
from app.retrieval.endpoint import Endpoint, as_id, as_mapping, reading, with_text
from app.retrieval.store import Candidate, Search, Store
from app.retrieval.stores.kind import Opening, StoreKind
from app.retrieval.stores.layout import Layout, layout_of, layout_to_fill
from app.retrieval.writer import Held, check_size, held_as, uuid_of

LOST = "it has no such collection: `rerankd ingest` makes it, or set RERANKD_COLLECTION"
PAGE = 1000
# Our ids are in the payload, because Qdrant's own ids are numbers and UUIDs only.
ID_FIELD = "rerankd_id"


def split_point(point: Any) -> tuple[str, Mapping[str, Any]]:
    """Id and payload. A point that `rerankd ingest` wrote has the id of its chunk."""
    payload = as_mapping(point.get("payload"))
    name = payload.get(ID_FIELD)
    if isinstance(name, str) and point["id"] == uuid_of(name):
        return name, {key: value for key, value in payload.items() if key != ID_FIELD}
    return as_id(point["id"]), payload


def equals(value: Any) -> dict[str, Any]:
    """Qdrant matches texts, whole numbers, true and false; for other numbers it has only ranges."""
    if isinstance(value, float):
        return {"range": {"gte": value, "lte": value}}
    return {"match": {"value": value}}


class QdrantStore:
    name = "qdrant"
    reads: Literal["words", "vector"] = "vector"

    def __init__(self, endpoint: Endpoint, collection: str, layout: Layout) -> None:
        self._endpoint = endpoint
        self._collection = collection
        self._layout = layout

    async def search(self, search: Search) -> list[Candidate]:
        body: dict[str, Any] = {"query": search.vector, "limit": search.k, "with_payload": True}
        if self._layout.vector:
            body["using"] = self._layout.vector
        if search.filters:
            equal = [
                {"key": self._layout.path(name), **equals(value)}
                for name, value in search.filters.items()
            ]
            body["filter"] = {"must": equal}
        collection = search.collection or self._collection
        path = f"/collections/{collection}/points/query"
        answer = await self._endpoint.ask("POST", path, body)
        with reading(self.name):
            points = answer["result"]["points"]
            candidates = [
                self._layout.candidate(*split_point(point), point["score"]) for point in points
            ]
            return with_text(self.name, candidates)

    async def close(self) -> None:
        await self._endpoint.close()


class QdrantWriter:
    name = "qdrant"
    wants_vectors = True

    def __init__(self, endpoint: Endpoint, collection: str, layout: Layout) -> None:
        self._endpoint = endpoint
        self._root = f"/collections/{collection}"
        self._layout = layout
        self._vector_size = 0

    async def held(self) -> list[Held]:
        if await self._vectors() is None:
            return []
        wanted = [ID_FIELD, self._layout.path("source"), self._layout.path("parent_doc_id")]
        page = {"limit": PAGE, "with_payload": wanted, "with_vector": False}
        held: list[Held] = []
        while True:
            answer = await self._endpoint.ask("POST", f"{self._root}/points/scroll", page)
            with reading(self.name):
                for point in answer["result"]["points"]:
                    name, payload = split_point(point)
                    held.append(held_as(name, self._layout.facts(payload)))
                following = answer["result"]["next_page_offset"]
            if following is None:
                return held
            page = {**page, "offset": following}

    async def put(self, chunks: Sequence[Candidate], vectors: Sequence[Sequence[float]]) -> None:
        await self._fit(len(vectors[0]))
        vector_name = self._layout.vector
        points = [
            {
                "id": uuid_of(chunk.id),
                "vector": {vector_name: vector} if vector_name else vector,
                "payload": self._layout.fields(self.name, chunk, {ID_FIELD: chunk.id}),
            }
            for chunk, vector in zip(chunks, vectors, strict=True)
        ]
        await self._endpoint.ask("PUT", f"{self._root}/points?wait=true", {"points": points})

    async def remove(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), PAGE):
            body = {"points": [uuid_of(name) for name in ids[start : start + PAGE]]}
            await self._endpoint.ask("POST", f"{self._root}/points/delete?wait=true", body)

    async def _fit(self, size: int) -> None:
        """Creates the collection if it is missing, and checks the size of its vectors."""
        if not self._vector_size:
            vectors, vector_name = await self._vectors(), self._layout.vector
            if vectors is None:
                wanted = {"size": size, "distance": "Cosine"}
                body = {"vectors": {vector_name: wanted} if vector_name else wanted}
                await self._endpoint.ask("PUT", self._root, body)
                self._vector_size = size
            else:
                with reading(self.name):
                    self._vector_size = self._size_of(
                        as_mapping(vectors.get(vector_name) if vector_name else vectors)
                    )
        check_size(self.name, self._vector_size, size)

    def _size_of(self, vector: Mapping[str, Any]) -> int:
        if not isinstance(vector.get("size"), int):
            raise UpstreamFailed(
                "qdrant: the collection's vectors have other names: name one with ?vector=, or "
                "set another RERANKD_COLLECTION",
                upstream=self.name,
            )
        return int(vector["size"])

    async def _vectors(self) -> Mapping[str, Any] | None:
        """How the collection stores vectors; None if there is no collection."""
        try:
            answer = await self._endpoint.ask("GET", self._root)
        except UpstreamFailed as error:
            if error.status != 404:
                raise
            return None
        with reading(self.name):
            return as_mapping(answer["result"]["config"]["params"].get("vectors"))

    async def close(self) -> None:
        await self._endpoint.close()


def endpoint_of(opening: Opening) -> Endpoint:
    return opening.endpoint({"api-key": "{key}"}, LOST, path=opening.address.path)


def open_stores(opening: Opening) -> list[Store]:
    layout = layout_of(opening.address.options)
    return [QdrantStore(endpoint_of(opening), opening.collection, layout)]


def open_writer(opening: Opening) -> QdrantWriter:
    layout = layout_to_fill(opening.address.options)
    return QdrantWriter(endpoint_of(opening), opening.collection, layout)


STORE = StoreKind(
    title="Qdrant",
    schemes=("qdrant",),
    examples=("qdrant://host:6333",),
    default_port=6333,
    reads="vectors",
    tested_against="a stand-in after its documentation",
    open_stores=open_stores,
    open_writer=open_writer,
)
