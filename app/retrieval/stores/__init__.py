"""The stores. To add one: a file beside these, and its constant in this list."""

from __future__ import annotations

from collections.abc import Mapping

from app.retrieval.stores import (
    chroma,
    elasticsearch,
    faiss,
    lancedb,
    milvus,
    mongodb,
    pgvector,
    pinecone,
    qdrant,
    redis,
    sqlite,
    template,
    weaviate,
)
from app.retrieval.stores.kind import StoreKind

DEFAULT_STORE = "sqlite:rerankd.db"


def by_scheme(*kinds: StoreKind) -> dict[str, StoreKind]:
    return {scheme: kind for kind in kinds for scheme in kind.schemes}


STORES: Mapping[str, StoreKind] = by_scheme(
    sqlite.STORE,
    chroma.STORE,
    faiss.STORE,
    lancedb.STORE,
    pgvector.STORE,
    qdrant.STORE,
    elasticsearch.STORE,
    weaviate.STORE,
    milvus.STORE,
    pinecone.STORE,
    redis.STORE,
    mongodb.STORE,
    template.STORE,
)
