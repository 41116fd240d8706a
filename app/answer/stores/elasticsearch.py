"""Elasticsearch and OpenSearch: BM25 by `match`, or, with `?vector=FIELD`, nearest neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from app.answer.candidate import Candidate, Search
from app.answer.endpoint import Endpoint, as_candidate, reading

LOST = "it has no such index: set RERANKD_COLLECTION"
CANDIDATES = 10  # looked at for each neighbour that is wanted
MOST_CANDIDATES = 10_000  # that Elasticsearch allows


class ElasticsearchStore:
    """The two differ in how they are asked for neighbours, and in nothing else."""

    def __init__(self, endpoint: Endpoint, collection: str, options: Mapping[str, str]) -> None:
        self.name = endpoint.name
        self.reads: Literal["words", "vector"] = "vector" if options.get("vector") else "words"
        self._endpoint = endpoint
        self._collection = collection
        self._text = options.get("text", "text")
        self._vector = options.get("vector", "")
        self._metadata = options.get("metadata", "")

    async def search(self, search: Search) -> list[Candidate]:
        body = {"size": search.k, **self._question(search)}
        if self._vector:
            body["_source"] = {"excludes": [self._vector]}
        path = f"/{search.collection or self._collection}/_search"
        answer = await self._endpoint.ask("POST", path, body)
        with reading(self.name):
            return [self._candidate(hit) for hit in answer["hits"]["hits"]]

    def _question(self, search: Search) -> dict[str, Any]:
        start = f"{self._metadata}." if self._metadata else ""
        equal = [{"term": {f"{start}{name}": value}} for name, value in search.filters.items()]
        if not self._vector:
            must = [{"match": {self._text: {"query": search.text}}}]
            return {"query": {"bool": {"must": must, "filter": equal}}}
        if self.name == "opensearch":
            near: dict[str, Any] = {"vector": search.vector, "k": search.k}
            if equal:
                near["filter"] = {"bool": {"must": equal}}
            return {"query": {"knn": {self._vector: near}}}
        near = {
            "field": self._vector,
            "query_vector": search.vector,
            "k": search.k,
            "num_candidates": max(search.k, min(search.k * CANDIDATES, MOST_CANDIDATES)),
        }
        if equal:
            near["filter"] = equal
        return {"knn": near}

    def _candidate(self, hit: Any) -> Candidate:
        return as_candidate(hit["_id"], hit["_source"], hit["_score"], self._text, self._metadata)

    async def close(self) -> None:
        await self._endpoint.close()
