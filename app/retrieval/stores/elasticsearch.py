"""Elasticsearch and OpenSearch: BM25 by `match`, or, with `?vector=FIELD`, nearest neighbours.

The two differ in how vectors are mapped and asked for, and in nothing else.
"""

from __future__ import annotations

from typing import Any, Literal

from app.retrieval.endpoint import Endpoint, reading, with_text
from app.retrieval.store import Candidate, Search, Store
from app.retrieval.stores.elasticsearch_writer import ElasticsearchWriter
from app.retrieval.stores.kind import Opening, StoreKind
from app.retrieval.stores.layout import Layout, layout_of, layout_to_fill

LOST = "it has no such index: `rerankd ingest` makes it, or set RERANKD_COLLECTION"
CANDIDATES = 10  # looked at for each neighbour that is wanted
MOST_CANDIDATES = 10_000  # that Elasticsearch allows
USUAL = "embedding"  # where vectors may lie that a search for words knows nothing of


class ElasticsearchStore:
    def __init__(self, endpoint: Endpoint, collection: str, layout: Layout) -> None:
        self.name = endpoint.name
        self.reads: Literal["words", "vector"] = "vector" if layout.vector else "words"
        self._endpoint = endpoint
        self._collection = collection
        self._layout = layout

    async def search(self, search: Search) -> list[Candidate]:
        unread = {"excludes": [self._layout.vector or USUAL]}
        body = {"size": search.k, "_source": unread, **self._question(search)}
        path = f"/{search.collection or self._collection}/_search"
        answer = await self._endpoint.ask("POST", path, body)
        with reading(self.name):
            found = [
                self._layout.candidate(hit["_id"], hit["_source"], hit["_score"])
                for hit in answer["hits"]["hits"]
            ]
            return with_text(self.name, found)

    def _question(self, search: Search) -> dict[str, Any]:
        layout = self._layout
        equal = [{"term": {layout.path(name): value}} for name, value in search.filters.items()]
        if not layout.vector:
            must = [{"match": {layout.text: {"query": search.text}}}]
            return {"query": {"bool": {"must": must, "filter": equal}}}
        if self.name == "opensearch":
            near: dict[str, Any] = {"vector": search.vector, "k": search.k}
            if equal:
                near["filter"] = {"bool": {"must": equal}}
            return {"query": {"knn": {layout.vector: near}}}
        near = {
            "field": layout.vector,
            "query_vector": search.vector,
            "k": search.k,
            "num_candidates": max(search.k, min(search.k * CANDIDATES, MOST_CANDIDATES)),
        }
        if equal:
            near["filter"] = equal
        return {"knn": near}

    async def close(self) -> None:
        await self._endpoint.close()


def endpoint_of(opening: Opening) -> Endpoint:
    headers = {"Authorization": "ApiKey {key}"}
    return opening.endpoint(headers, LOST, path=opening.address.path)


def open_stores(opening: Opening) -> list[Store]:
    layout = layout_of(opening.address.options)
    return [ElasticsearchStore(endpoint_of(opening), opening.collection, layout)]


def open_writer(opening: Opening) -> ElasticsearchWriter:
    layout = layout_to_fill(opening.address.options)
    return ElasticsearchWriter(endpoint_of(opening), opening.collection, layout)


STORE = StoreKind(
    title="Elasticsearch and OpenSearch",
    schemes=("elasticsearch", "opensearch"),
    examples=("elasticsearch://host:9200", "opensearch://host:9200"),
    default_port=9200,
    reads="words or vectors",
    tested_against="a stand-in after their documentation",
    open_stores=open_stores,
    open_writer=open_writer,
)
