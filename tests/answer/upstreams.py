"""Stores over HTTP as their documentation shows them: the request to each, and its response."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from app.retrieval.opening import open_retriever
from app.retrieval.retriever import Retriever
from tests.retrieval.stage import stage_of

VECTOR = [0.1, 0.2]
EMBEDDER = "http://embedder.test/v1"
EMBEDDING = {"data": [{"object": "embedding", "index": 0, "embedding": VECTOR}]}

QDRANT = {
    "usage": {"cpu": 1},
    "time": 0.002,
    "status": "ok",
    "result": {
        "points": [
            {
                "id": "5c56c793-69f3-4fbf-87e6-c4bf54c28c26",
                "version": 3,
                "score": 0.9,
                "payload": {"text": "first", "source": "a.md"},
            },
            {"id": 42, "version": 3, "score": 0.5, "payload": {"text": "second"}},
        ]
    },
}
ELASTICSEARCH = {
    "took": 5,
    "timed_out": False,
    "_shards": {"total": 1, "successful": 1, "skipped": 0, "failed": 0},
    "hits": {
        "total": {"value": 2, "relation": "eq"},
        "max_score": 1.3,
        "hits": [
            {
                "_index": "docs",
                "_id": "a",
                "_score": 1.3,
                "_source": {"text": "first", "source": "a.md"},
            },
            {"_index": "docs", "_id": "b", "_score": 0.7, "_source": {"text": "second"}},
        ],
    },
}
CHROMA = {
    "ids": [["a", "b"]],
    "embeddings": None,
    "documents": [["first", "second"]],
    "uris": None,
    "metadatas": [[{"source": "a.md"}, None]],
    "distances": [[0.1, 0.4]],
    "include": ["distances", "documents", "metadatas"],
}
WEAVIATE_CLASS = {
    "class": "Docs",
    "properties": [
        {"name": "text", "dataType": ["text"]},
        {"name": "source", "dataType": ["text"]},
        {"name": "topic", "dataType": ["text"]},
        {"name": "year", "dataType": ["int"]},
        {"name": "hasAuthor", "dataType": ["Author"]},
    ],
}
WEAVIATE = {
    "data": {
        "Get": {
            "Docs": [
                {
                    "_additional": {"distance": 0.1, "id": "5c56c793", "score": "0"},
                    "source": "a.md",
                    "text": "first",
                },
                {
                    "_additional": {"distance": 0.4, "id": "7e57d004", "score": "0"},
                    "source": None,
                    "text": "second",
                },
            ]
        }
    }
}
MILVUS = {
    "code": 0,
    "cost": 6,
    "data": [
        {"distance": 0.9, "id": "a", "source": "a.md", "text": "first", "vector": [0.1, 0.2]},
        {"distance": 0.5, "id": 42, "text": "second", "vector": [0.1, 0.1]},
    ],
}
PINECONE = {
    "results": [],
    "matches": [
        {
            "id": "a",
            "score": 0.9,
            "values": [],
            "metadata": {"text": "first", "source": "a.md"},
        },
        {"id": "b", "score": 0.5, "values": [], "metadata": {"text": "second"}},
    ],
    "namespace": "docs",
    "usage": {"readUnits": 5},
}
TEMPLATE = {
    "url": "http://search.test/find/{collection}",
    "headers": {"Authorization": "Token {key}"},
    "body": {"q": "{query}", "top": "{k}", "where": "{filters}", "note": "for {query}, {k} of {x}"},
    "results": "data.0.rows",
    "id": "key",
    "text": "doc.body",
    "metadata": "doc.facts",
    "score": "rank",
}
TEMPLATED = {
    "data": [
        {
            "rows": [
                {"key": 1, "doc": {"body": "first", "facts": {"source": "a.md"}}, "rank": 2},
                {"key": "b", "doc": {"body": "second", "facts": None}, "rank": 1.5},
            ]
        }
    ]
}


@dataclass
class Upstream:
    """Answers the embedder and the first request to Chroma and Weaviate; `answer` the search."""

    answer: Callable[[httpx.Request], httpx.Response]
    requests: list[httpx.Request] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "embedder.test":
            return httpx.Response(200, json=EMBEDDING)
        if request.method == "GET" and "/collections/" in request.url.path:
            return httpx.Response(200, json={"id": "uuid-of-docs", "name": "docs"})
        if request.method == "GET" and "/v1/schema/" in request.url.path:
            return httpx.Response(200, json=WEAVIATE_CLASS)
        self.requests.append(request)
        return self.answer(request)

    @property
    def body(self) -> Any:
        return json.loads(self.requests[-1].content)


def answering(value: Any) -> Upstream:
    return Upstream(lambda _: httpx.Response(200, json=value))


@asynccontextmanager
async def opened(
    url: str, upstream: Callable[[httpx.Request], Any], **more: Any
) -> AsyncIterator[Retriever]:
    settings = {"collection": "docs", "embedder": EMBEDDER, "store_seconds": 5.0, **more}
    stage = stage_of([url], **settings)
    async with open_retriever(stage, transport=httpx.MockTransport(upstream)) as retriever:
        yield retriever


def template(folder: Path, **changes: Any) -> str:
    path = folder / "search.json"
    path.write_text(json.dumps(TEMPLATE | changes))
    return f"template:{path}"
