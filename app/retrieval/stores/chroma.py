"""Chroma's server, by its REST API (/api/v2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from app.errors import UpstreamFailed
from app.retrieval.endpoint import (
    Endpoint,
    as_candidate,
    as_id,
    as_mapping,
    as_number,
    as_text,
    reading,
    with_text,
)
from app.retrieval.store import Candidate, Search, Store
from app.retrieval.stores.equality import equality
from app.retrieval.stores.kind import Opening, StoreKind
from app.retrieval.writer import Held, held_as

LOST = "it has no such collection: `rerankd ingest` makes it, or set RERANKD_COLLECTION"
PAGE = 1000


class Collections:
    """Chroma addresses a collection by its id, which is looked up once, and again after a 404."""

    def __init__(self, endpoint: Endpoint, database: str) -> None:
        tenant, _, name = (database or "default_tenant/default_database").partition("/")
        self._root = f"/api/v2/tenants/{tenant}/databases/{name}/collections"
        self._endpoint = endpoint
        self._ids: dict[str, str] = {}

    async def ask(self, collection: str, verb: str, body: Mapping[str, Any]) -> Any:
        had_id = collection in self._ids
        try:
            return await self._ask(collection, verb, body)
        except UpstreamFailed as error:
            if error.status != 404 or not had_id:
                raise
            del self._ids[collection]
        return await self._ask(collection, verb, body)

    async def _ask(self, collection: str, verb: str, body: Mapping[str, Any]) -> Any:
        if collection not in self._ids:
            description = await self._endpoint.ask("GET", f"{self._root}/{collection}")
            self._remember(collection, description)
        return await self._endpoint.ask(
            "POST", f"{self._root}/{self._ids[collection]}/{verb}", dict(body)
        )

    async def make(self, collection: str) -> None:
        body = {
            "name": collection,
            "get_or_create": True,
            "configuration": {"hnsw": {"space": "cosine"}},
        }
        self._remember(collection, await self._endpoint.ask("POST", self._root, body))

    def _remember(self, collection: str, answer: Any) -> None:
        with reading(self._endpoint.name):
            self._ids[collection] = as_text(answer["id"])

    async def close(self) -> None:
        await self._endpoint.close()


class ChromaStore:
    name = "chroma"
    reads: Literal["words", "vector"] = "vector"

    def __init__(self, collections: Collections, collection: str) -> None:
        self._collections = collections
        self._collection = collection

    async def search(self, search: Search) -> list[Candidate]:
        body: dict[str, Any] = {
            "query_embeddings": [search.vector],
            "n_results": search.k,
            "include": ["documents", "metadatas", "distances"],
        }
        if condition := equality(search.filters.items()):
            body["where"] = condition
        collection = search.collection or self._collection
        answer = await self._collections.ask(collection, "query", body)
        with reading(self.name):
            columns = (
                answer[column][0] for column in ("ids", "documents", "metadatas", "distances")
            )
            candidates = [
                as_candidate(name, text, facts, -as_number(distance))
                for name, text, facts, distance in zip(*columns, strict=True)
            ]
            return with_text(self.name, candidates)

    async def close(self) -> None:
        await self._collections.close()


class ChromaWriter:
    name = "chroma"
    wants_vectors = True

    def __init__(self, collections: Collections, collection: str) -> None:
        self._collections = collections
        self._collection = collection

    async def held(self) -> list[Held]:
        await self._collections.make(self._collection)
        held: list[Held] = []
        while True:
            page = {"limit": PAGE, "offset": len(held), "include": ["metadatas"]}
            answer = await self._collections.ask(self._collection, "get", page)
            with reading(self.name):
                rows = list(zip(answer["ids"], answer["metadatas"], strict=True))
                held += [held_as(as_id(name), as_mapping(facts)) for name, facts in rows]
            if len(rows) < PAGE:
                return held

    async def put(self, chunks: Sequence[Candidate], vectors: Sequence[Sequence[float]]) -> None:
        body = {
            "ids": [chunk.id for chunk in chunks],
            "documents": [chunk.text for chunk in chunks],
            "metadatas": [dict(chunk.metadata) for chunk in chunks],
            "embeddings": [list(vector) for vector in vectors],
        }
        await self._collections.ask(self._collection, "upsert", body)

    async def remove(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), PAGE):
            body = {"ids": list(ids[start : start + PAGE])}
            await self._collections.ask(self._collection, "delete", body)

    async def close(self) -> None:
        await self._collections.close()


def collections_of(opening: Opening) -> Collections:
    headers = {"Authorization": "Bearer {key}", "X-Chroma-Token": "{key}"}
    return Collections(opening.endpoint(headers, LOST), opening.address.path)


def open_stores(opening: Opening) -> list[Store]:
    return [ChromaStore(collections_of(opening), opening.collection)]


def open_writer(opening: Opening) -> ChromaWriter:
    return ChromaWriter(collections_of(opening), opening.collection)


STORE = StoreKind(
    title="Chroma",
    schemes=("chroma",),
    examples=("chroma://host:8000",),
    default_port=8000,
    reads="vectors",
    tested_against="Chroma's own server, 1.5.9",
    open_stores=open_stores,
    open_writer=open_writer,
)
