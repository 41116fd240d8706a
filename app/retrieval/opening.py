"""Opens the first stage, to search it or to fill it, from the values of settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import httpx

from app.errors import LoadFailed
from app.events import Observe, ignore
from app.retrieval.address import read_address
from app.retrieval.embedder import Embedder, RemoteEmbedder, load_embedder
from app.retrieval.endpoint import Endpoint
from app.retrieval.retriever import Retriever
from app.retrieval.store import Store
from app.retrieval.stores import STORES
from app.retrieval.stores.kind import WRITING_SECONDS, Opening, StoreKind, http_client
from app.retrieval.writer import StoreWriter


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstStage:
    """All values of the first stage. Addresses and keys are never shown."""

    stores: Sequence[str] = field(repr=False)
    collection: str
    store_key: str = field(repr=False)
    store_seconds: float
    embedder: str
    embedder_model: str
    embedder_key: str = field(repr=False)
    embedder_seconds: float
    offline: bool
    passage_chars: int


@asynccontextmanager
async def open_retriever(
    stage: FirstStage,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    observe: Observe = ignore,
) -> AsyncIterator[Retriever]:
    """No store is contacted before the first search: one that is down does not stop the start."""
    embedder = await open_embedder(stage, transport)
    stores = [
        store
        for text in stage.stores
        for store in open_stores(opening_of(stage, text, stage.store_seconds, transport))
    ]
    for store in stores:
        if store.reads == "vector" and embedder is None:
            raise LoadFailed(f"setting embedder: store {store.name} reads vectors and needs one")
    retriever = Retriever(stores, embedder, observe, passage_chars=stage.passage_chars)
    try:
        yield retriever
    finally:
        await retriever.close()


@asynccontextmanager
async def open_writer(
    stage: FirstStage, *, transport: httpx.AsyncBaseTransport | None = None
) -> AsyncIterator[tuple[StoreWriter, Embedder | None]]:
    """The only store of this stage, to be filled."""
    if len(stage.stores) != 1:
        raise LoadFailed("setting store: names several stores: choose one with --store")
    opening = opening_of(stage, stage.stores[0], WRITING_SECONDS, transport)
    async with AsyncExitStack() as stack:
        writer = open_store_writer(opening)
        stack.push_async_callback(writer.close)
        embedder = await open_embedder(stage, transport)
        if embedder is not None:
            stack.push_async_callback(embedder.close)
        elif writer.wants_vectors:
            raise LoadFailed(f"setting embedder: store {writer.name} holds vectors and needs one")
        yield writer, embedder


def opening_of(
    stage: FirstStage, text: str, seconds: float, transport: httpx.AsyncBaseTransport | None
) -> Opening:
    try:
        address = read_address(text)
    except ValueError as error:
        raise LoadFailed(f"setting store: {error}") from error
    return Opening(
        address=address,
        collection=stage.collection,
        key=stage.store_key,
        seconds=seconds,
        has_embedder=bool(stage.embedder),
        transport=transport,
    )


def open_stores(opening: Opening) -> Sequence[Store]:
    kind = STORES[opening.address.scheme]
    with naming_extra(kind):
        return kind.open_stores(opening)


def open_store_writer(opening: Opening) -> StoreWriter:
    kind = STORES[opening.address.scheme]
    if isinstance(kind.open_writer, str):
        raise LoadFailed(f"setting store: {kind.open_writer}")
    with naming_extra(kind):
        return kind.open_writer(opening)


@contextmanager
def naming_extra(kind: StoreKind) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        if not kind.extra:
            raise
        raise LoadFailed(f"setting store: needs pip install 'rerankd[{kind.extra}]'") from error


async def open_embedder(
    stage: FirstStage, transport: httpx.AsyncBaseTransport | None
) -> Embedder | None:
    if not stage.embedder:
        return None
    if not stage.embedder.startswith(("http://", "https://")):
        return await load_embedder(stage.embedder, offline=stage.offline)
    headers = {"Authorization": f"Bearer {stage.embedder_key}"} if stage.embedder_key else {}
    endpoint = Endpoint(
        "embedder",
        http_client(stage.embedder, headers, transport),
        stage.embedder_seconds,
        key="RERANKD_EMBEDDER_API_KEY",
    )
    return RemoteEmbedder(endpoint, stage.embedder_model)
