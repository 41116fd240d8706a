"""Qdrant, by its REST API. `?text=` names the payload's text, `?metadata=` what holds the rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from app.answer.candidate import Candidate, Search
from app.answer.endpoint import Endpoint, as_candidate, reading

LOST = "it has no such collection: set RERANKD_COLLECTION"


class QdrantStore:
    name = "qdrant"
    reads: Literal["words", "vector"] = "vector"

    def __init__(self, endpoint: Endpoint, collection: str, options: Mapping[str, str]) -> None:
        self._endpoint = endpoint
        self._collection = collection
        self._text = options.get("text", "text")
        self._metadata = options.get("metadata", "")
        self._vector = options.get("vector", "")

    async def search(self, search: Search) -> list[Candidate]:
        body: dict[str, Any] = {"query": search.vector, "limit": search.k, "with_payload": True}
        if self._vector:
            body["using"] = self._vector
        if search.filters:
            start = f"{self._metadata}." if self._metadata else ""
            body["filter"] = {
                "must": [
                    {"key": f"{start}{name}", "match": {"value": value}}
                    for name, value in search.filters.items()
                ]
            }
        collection = search.collection or self._collection
        path = f"/collections/{collection}/points/query"
        answer = await self._endpoint.ask("POST", path, body)
        with reading(self.name):
            return [self._candidate(point) for point in answer["result"]["points"]]

    def _candidate(self, point: Any) -> Candidate:
        return as_candidate(
            point["id"], point["payload"], point["score"], self._text, self._metadata
        )

    async def close(self) -> None:
        await self._endpoint.close()
