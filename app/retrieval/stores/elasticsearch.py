"""Elasticsearch and OpenSearch: BM25 by `match`, or, with `?vector=FIELD`, nearest neighbours.

The two differ only in how vectors are mapped and searched.
"""

from __future__ import annotations

from typing import Any, Literal

from app.retrieval.endpoint import Endpoint, reading, with_text
from app.retrieval.store import Candidate, Search, Store
from app.retrieval.stores.elasticsearch_writer import ElasticsearchWriter
from app.retrieval.stores.kind import Opening, StoreKind
from app.retrieval.stores.layout import Layout, layout_of, layout_to_fill

LOST = "it has no such index: `rerankd ingest` makes it, or set RERANKD_COLLECTION"
# More candidates than neighbours, because the search of an HNSW graph is approximate.
CANDIDATES_PER_NEIGHBOUR = 10
# The limit of Elasticsearch.
MAX_CANDIDATES = 10_000
# A search for words does not know the vectors' field; this one is left out of metadata.
USUAL_VECTOR_FIELD = "embedding"


class ElasticsearchStore:
    def __init__(self, endpoint: Endpoint, collection: str, layout: Layout) -> None:
        self.name = endpoint.name
        self.reads: Literal["words", "vector"] = "vector" if layout.vector else "words"
        self._endpoint = endpoint
        self._collection = collection
        self._layout = layout

    async def search(self, search: Search) -> list[Candidate]:
        left_out = {"excludes": [self._layout.vector or USUAL_VECTOR_FIELD]}
        body = {"size": search.k, "_source": left_out, **self._query(search)}
        path = f"/{search.collection or self._collection}/_search"
        answer = await self._endpoint.ask("POST", path, body)
        with reading(self.name):
            candidates = [
                self._layout.candidate(hit["_id"], hit["_source"], hit["_score"])
                for hit in answer["hits"]["hits"]
            ]
            return with_text(self.name, candidates)

    def _query(self, search: Search) -> dict[str, Any]:
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
            "num_candidates": max(
                search.k, min(search.k * CANDIDATES_PER_NEIGHBOUR, MAX_CANDIDATES)
            ),
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
