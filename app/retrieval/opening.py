"""From settings' values to a first stage that answers, or a writer that can be filled."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import httpx

from app.errors import LoadFailed
from app.retrieval.address import Address, read_address
from app.retrieval.embedder import Embedder, RemoteEmbedder, load_embedder
from app.retrieval.endpoint import Endpoint
from app.retrieval.retriever import MAX_PASSAGE_CHARS, Observe, Retriever
from app.retrieval.store import Store
from app.retrieval.stores import chroma, elasticsearch, qdrant
from app.retrieval.stores.elasticsearch_writer import ElasticsearchWriter
from app.retrieval.stores.layout import layout_of, layout_to_fill
from app.retrieval.stores.sqlite import SqliteStore, SqliteWriter
from app.retrieval.stores.sqlite_file import Database
from app.retrieval.stores.template import TemplateStore, read_template
from app.retrieval.writer import StoreWriter
from app.upstream.reading import ACCEPTED_ENCODINGS

DEFAULT_STORE = "sqlite:rerankd.db"
WRITING_SECONDS = 120.0  # of one batch; an index may be built meanwhile
OURS = ("table", "id", "text", "vector", "metadata")  # options that are not PostgreSQL's


@dataclass(frozen=True, slots=True)
class FirstStage:
    """What there is to know before anything is opened. Addresses and keys are never shown."""

    stores: Sequence[str] = field(default=(DEFAULT_STORE,), repr=False)
    collection: str = "rerankd"
    store_key: str = field(default="", repr=False)
    store_seconds: float = 5.0
    embedder: str = ""
    embedder_model: str = ""
    embedder_key: str = field(default="", repr=False)
    embedder_seconds: float = 10.0
    offline: bool = False
    passage_chars: int = MAX_PASSAGE_CHARS


@asynccontextmanager
async def open_retriever(
    stage: FirstStage,
    *,
    transport: httpx.AsyncBaseTransport | None = None,
    observe: Observe = lambda name, outcome, seconds: None,
) -> AsyncIterator[Retriever]:
    """Nothing is asked before the first search: a store that is down does not stop the start."""
    opening = Opening(stage, transport)
    embedder = await opening.embedder()
    stores = [store for text in stage.stores for store in opening.stores(read_address(text))]
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
    """The one store of this stage, to be written."""
    if len(stage.stores) != 1:
        raise LoadFailed("setting store: names several stores: choose one with --store")
    opening = Opening(stage, transport, writes=True)
    async with AsyncExitStack() as stack:
        writer = opening.writer(read_address(stage.stores[0]))
        stack.push_async_callback(writer.close)
        embedder = await opening.embedder()
        if embedder is not None:
            stack.push_async_callback(embedder.close)
        elif writer.wants_vectors:
            raise LoadFailed(f"setting embedder: store {writer.name} holds vectors and needs one")
        yield writer, embedder


class Opening:
    def __init__(
        self,
        stage: FirstStage,
        transport: httpx.AsyncBaseTransport | None,
        *,
        writes: bool = False,
    ) -> None:
        self._stage = stage
        self._transport = transport
        self._writes = writes

    async def embedder(self) -> Embedder | None:
        stage = self._stage
        if not stage.embedder:
            return None
        if not stage.embedder.startswith(("http://", "https://")):
            return await load_embedder(stage.embedder, offline=stage.offline)
        headers = {"Authorization": f"Bearer {stage.embedder_key}"} if stage.embedder_key else {}
        client = self._client(stage.embedder, headers)
        endpoint = Endpoint(
            "embedder", client, stage.embedder_seconds, key="RERANKD_EMBEDDER_API_KEY"
        )
        return RemoteEmbedder(endpoint, stage.embedder_model)

    def stores(self, address: Address) -> list[Store]:
        collection, options = self._stage.collection, address.options
        store: Store
        match address.kind:
            case "sqlite":
                database = self._database(address)
                if self._stage.embedder:
                    vectors = SqliteStore(self._database(address), collection, "vector")
                    return [SqliteStore(database, collection, "words"), vectors]
                store = SqliteStore(database, collection, "words")
            case "chroma":
                store = chroma.ChromaStore(self._collections(address), collection)
            case "qdrant":
                store = qdrant.QdrantStore(self._qdrant(address), collection, layout_of(options))
            case "postgresql":
                pgvector = extra("app.retrieval.stores.pgvector", "postgres")
                server = pgvector.Postgres(dsn(address), self._seconds)
                store = pgvector.PgvectorStore(server, collection, options)
            case "template":
                store = self._template(address)
            case _:
                endpoint, layout = self._elasticsearch(address), layout_of(options)
                store = elasticsearch.ElasticsearchStore(endpoint, collection, layout)
        return [store]

    def writer(self, address: Address) -> StoreWriter:
        collection, options = self._stage.collection, address.options
        match address.kind:
            case "sqlite":
                wants = bool(self._stage.embedder)
                return SqliteWriter(self._database(address), collection, wants_vectors=wants)
            case "chroma":
                return chroma.ChromaWriter(self._collections(address), collection)
            case "qdrant":
                layout = layout_to_fill(options)
                return qdrant.QdrantWriter(self._qdrant(address), collection, layout)
            case "postgresql":
                pgvector = extra("app.retrieval.stores.pgvector", "postgres")
                server = pgvector.Postgres(dsn(address), self._seconds)
                writer: StoreWriter = pgvector.PgvectorWriter(server, collection)
                return writer
            case "template":
                raise LoadFailed(
                    "setting store: template is searched but not written: fill it with its own "
                    "tools, or ingest into another store"
                )
        layout = layout_to_fill(options)
        return ElasticsearchWriter(self._elasticsearch(address), collection, layout)

    @property
    def _seconds(self) -> float:
        return WRITING_SECONDS if self._writes else self._stage.store_seconds

    def _database(self, address: Address) -> Database:
        return Database(Path(address.path), self._seconds, writes=self._writes)

    def _collections(self, address: Address) -> chroma.Collections:
        headers = {"Authorization": "Bearer {}", "X-Chroma-Token": "{}"}
        return chroma.Collections(self._endpoint(address, headers, chroma.LOST), address.path)

    def _qdrant(self, address: Address) -> Endpoint:
        return self._endpoint(address, {"api-key": "{}"}, qdrant.LOST)

    def _elasticsearch(self, address: Address) -> Endpoint:
        return self._endpoint(address, {"Authorization": "ApiKey {}"}, elasticsearch.LOST)

    def _endpoint(self, address: Address, headers: dict[str, str], lost: str) -> Endpoint:
        key = self._stage.store_key
        filled = {name: value.format(key) for name, value in headers.items()} if key else {}
        base = address.base if address.kind == "chroma" else f"{address.base}/{address.path}"
        client = self._client(base, filled, address.login)
        return Endpoint(address.kind, client, self._seconds, lost=lost)

    def _template(self, address: Address) -> TemplateStore:
        template = read_template(Path(address.path))
        headers = {
            name: value.replace("{key}", self._stage.store_key)
            for name, value in template.headers.items()
        }
        endpoint = Endpoint("template", self._client("", headers), self._seconds)
        return TemplateStore(endpoint, template, self._stage.collection)

    def _client(
        self, base: str, headers: dict[str, str], login: tuple[str, str] | None = None
    ) -> httpx.AsyncClient:
        try:
            return httpx.AsyncClient(
                base_url=base,
                headers=ACCEPTED_ENCODINGS | headers,
                auth=login,
                timeout=WRITING_SECONDS,  # the limit that counts is the endpoint's, for all tries
                transport=self._transport,
            )
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise LoadFailed("setting store or embedder: no valid address or key") from error


def dsn(address: Address) -> str:
    """Without the options that are ours; PostgreSQL reads its own otherwise than others do."""
    url, _, options = address.url.partition("?")
    kept = [one for one in options.split("&") if one and one.partition("=")[0] not in OURS]
    return f"{url}?{'&'.join(kept)}" if kept else url


def extra(module: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise LoadFailed(f"setting store: needs pip install 'rerankd[{name}]'") from error
