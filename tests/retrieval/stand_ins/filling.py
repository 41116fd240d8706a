"""Stores with a server of ours in their place, filled and searched as their users do it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from app.retrieval.opening import FirstStage, open_retriever, open_writer
from app.retrieval.store import Candidate
from app.retrieval.writer import StoreWriter
from tests.answer.upstreams import EMBEDDER, EMBEDDING
from tests.retrieval.stage import stage_of
from tests.retrieval.stand_ins.elasticsearch import Elasticsearch, OpenSearch
from tests.retrieval.stand_ins.milvus import Milvus
from tests.retrieval.stand_ins.pinecone import Pinecone
from tests.retrieval.stand_ins.qdrant import Qdrant
from tests.retrieval.stand_ins.serving import StandIn
from tests.retrieval.stand_ins.weaviate import Weaviate

# Created once, because that takes long.
TLS = ssl.create_default_context()

MAKERS: dict[str, Callable[[], StandIn]] = {
    "qdrant": Qdrant,
    "elasticsearch": Elasticsearch,
    "opensearch": OpenSearch,
    "weaviate": Weaviate,
    "milvus": Milvus,
    "pinecone": Pinecone,
}
# Their addresses name the field of vectors; without it, they hold words.
WORDS_BY_DEFAULT = {"elasticsearch", "opensearch"}
# Their addresses name the fields of text, vector and metadata.
WITH_LAYOUT = ["qdrant", "elasticsearch", "opensearch", "milvus"]


def with_vectors(url: str) -> str:
    return f"{url}?vector=embedding" if url.partition(":")[0] in WORDS_BY_DEFAULT else url


def filled_stage(url: str, **more: Any) -> FirstStage:
    return stage_of([url], **{"collection": "docs", "embedder": EMBEDDER, **more})


class Embedding(httpx.AsyncHTTPTransport):
    """Gives every text the same vector; all other requests go to the store."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "embedder.test":
            return httpx.Response(200, json=EMBEDDING)
        return await super().handle_async_request(request)


@asynccontextmanager
async def writer_at(url: str, **more: Any) -> AsyncIterator[StoreWriter]:
    async with open_writer(filled_stage(url, **more), transport=Embedding(verify=TLS)) as (
        writer,
        _,
    ):
        yield writer


async def search(url: str, text: str = "cats", **filters: Any) -> list[Candidate]:
    async with open_retriever(filled_stage(url), transport=Embedding(verify=TLS)) as retriever:
        got = await retriever.retrieve([text], k=10, filters=filters, collection=None)
    return list(got.candidates)


async def put(writer: StoreWriter, *chunks: Candidate) -> None:
    vectors = (
        [[0.1, 0.2 + position] for position in range(len(chunks))] if writer.wants_vectors else []
    )
    await writer.put(chunks, vectors)
