"""Pinecone, by its REST API. A collection is a namespace of the index at this address."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import urlencode

from pydantic_core import to_json

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
from app.retrieval.writer import Held, check_size, held_as

LOST = "no index has this address"
MISSING = (
    "pinecone: it has no such namespace: `rerankd ingest` makes it, or set RERANKD_COLLECTION; "
    "a new one is visible after some seconds"
)
API_VERSION = "2025-10"
# The limits of Pinecone: ids of one list, ids of one removal, bytes of one upsert.
PAGE = 100
IDS_PER_REMOVAL = 1000
MAX_UPSERT_BYTES = 1_900_000
# Holds as JSON what metadata of Pinecone cannot: null, objects, lists of anything but texts.
MORE_FIELD = "rerankd_json"
MAX_EXACT = 2**53


class Index:
    """Requests to one index, of which some name a namespace."""

    def __init__(self, endpoint: Endpoint, text: str) -> None:
        self.endpoint = endpoint
        self.name = endpoint.name
        self.text = text

    async def has(self, namespace: str) -> bool:
        description = await self.describe()
        with reading(self.name):
            return namespace in as_mapping(description["namespaces"])

    async def describe(self) -> Any:
        return await self.endpoint.ask("POST", "/describe_index_stats", {})

    def metadata_of(self, chunk: Candidate) -> dict[str, Any]:
        taken = sorted({self.text, MORE_FIELD} & chunk.metadata.keys())
        if taken:
            raise UpstreamFailed(
                f"{self.name} does not keep metadata in the field {taken[0]}, which has another "
                "use: name another field for the text with ?text=",
                upstream=self.name,
            )
        own = {name: value for name, value in chunk.metadata.items() if is_native(value)}
        more = {name: value for name, value in chunk.metadata.items() if name not in own}
        kept = {**own, self.text: chunk.text}
        return kept | ({MORE_FIELD: to_json(more).decode()} if more else {})

    def facts_of(self, metadata: Any) -> dict[str, Any]:
        facts = dict(as_mapping(metadata))
        facts.pop(self.text, None)
        more = facts.pop(MORE_FIELD, "{}")
        return {**facts, **as_mapping(json.loads(as_text(more)))}


def is_native(value: Any) -> bool:
    """Whether Pinecone keeps the value as it is. Its numbers have eight bytes."""
    if isinstance(value, list):
        return all(isinstance(part, str) for part in value)
    if isinstance(value, int):
        return abs(value) <= MAX_EXACT
    return isinstance(value, str | float)


class PineconeStore:
    name = "pinecone"
    reads: Literal["words", "vector"] = "vector"

    def __init__(self, index: Index, namespace: str) -> None:
        self._index = index
        self._namespace = namespace

    async def search(self, search: Search) -> list[Candidate]:
        namespace = search.collection or self._namespace
        body: dict[str, Any] = {
            "namespace": namespace,
            "vector": search.vector,
            "topK": search.k,
            "includeMetadata": True,
        }
        if condition := equality(search.filters.items()):
            body["filter"] = condition
        answer = await self._index.endpoint.ask("POST", "/query", body)
        with reading(self.name):
            candidates = [self._candidate(match) for match in answer["matches"]]
        # A namespace that does not exist has no matches either.
        if not candidates and not await self._index.has(namespace):
            raise UpstreamFailed(MISSING, upstream=self.name)
        return with_text(self.name, candidates)

    def _candidate(self, match: Mapping[str, Any]) -> Candidate | None:
        metadata = as_mapping(match.get("metadata"))
        facts = self._index.facts_of(metadata)
        score = as_number(match["score"])
        return as_candidate(match["id"], metadata.get(self._index.text), facts, score)

    async def close(self) -> None:
        await self._index.endpoint.close()


class PineconeWriter:
    name = "pinecone"
    wants_vectors = True

    def __init__(self, index: Index, namespace: str) -> None:
        self._index = index
        self._namespace = namespace
        self._vector_size: int | None = None

    async def held(self) -> list[Held]:
        if not await self._index.has(self._namespace):
            return []
        held: list[Held] = []
        following: str | None = ""
        while following is not None:
            names, following = await self._page(following)
            held += await self._described(names)
        return held

    async def _page(self, token: str) -> tuple[list[str], str | None]:
        """The ids of a page, and what requests the next one."""
        query = {"namespace": self._namespace, "limit": str(PAGE)}
        query |= {"paginationToken": token} if token else {}
        answer = await self._index.endpoint.ask("GET", f"/vectors/list?{urlencode(query)}")
        with reading(self.name):
            names = [as_id(entry["id"]) for entry in answer.get("vectors", ())]
            following = as_mapping(answer.get("pagination")).get("next")
            return names, as_text(following) if following else None

    async def _described(self, names: Sequence[str]) -> list[Held]:
        if not names:
            return []
        query = [("namespace", self._namespace), *(("ids", name) for name in names)]
        answer = await self._index.endpoint.ask("GET", f"/vectors/fetch?{urlencode(query)}")
        with reading(self.name):
            vectors = as_mapping(answer["vectors"])
            return [
                held_as(name, self._index.facts_of(entry.get("metadata")))
                for name, entry in vectors.items()
            ]

    async def put(self, chunks: Sequence[Candidate], vectors: Sequence[Sequence[float]]) -> None:
        await self._fit(len(vectors[0]))
        records = [
            {"id": chunk.id, "values": list(vector), "metadata": self._index.metadata_of(chunk)}
            for chunk, vector in zip(chunks, vectors, strict=True)
        ]
        for batch in batches(records):
            body = {"vectors": batch, "namespace": self._namespace}
            answer = await self._index.endpoint.ask("POST", "/vectors/upsert", body)
            with reading(self.name):
                if int(answer["upsertedCount"]) != len(batch):
                    raise ValueError("not all are written")

    async def remove(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), IDS_PER_REMOVAL):
            names = list(ids[start : start + IDS_PER_REMOVAL])
            body = {"ids": names, "namespace": self._namespace}
            await self._index.endpoint.ask("POST", "/vectors/delete", body)

    async def _fit(self, size: int) -> None:
        if self._vector_size is None:
            description = await self._index.describe()
            with reading(self.name):
                # An index of sparse vectors has none, and refuses ours with a reason.
                self._vector_size = int(as_number(description.get("dimension", size)))
        check_size(self.name, self._vector_size, size)

    async def close(self) -> None:
        await self._index.endpoint.close()


def batches(records: Sequence[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """In the same order, none larger than Pinecone accepts."""
    batch: list[dict[str, Any]] = []
    total = 0
    for record in records:
        size = len(to_json(record))
        if batch and total + size > MAX_UPSERT_BYTES:
            yield batch
            batch, total = [], 0
        batch.append(record)
        total += size
    if batch:
        yield batch


def index_of(opening: Opening) -> Index:
    headers = {"Api-Key": "{key}", "X-Pinecone-Api-Version": API_VERSION}
    endpoint = opening.endpoint(headers, LOST, path=opening.address.path)
    return Index(endpoint, opening.address.options.get("text") or "text")


def namespace_of(opening: Opening) -> str:
    """The namespace of an index that others filled is often called `__default__`."""
    return opening.address.options.get("namespace") or opening.collection


def open_stores(opening: Opening) -> list[Store]:
    return [PineconeStore(index_of(opening), namespace_of(opening))]


def open_writer(opening: Opening) -> PineconeWriter:
    return PineconeWriter(index_of(opening), namespace_of(opening))


STORE = StoreKind(
    title="Pinecone",
    schemes=("pinecone",),
    examples=("pinecone://INDEX-HOST",),
    default_port=443,
    reads="vectors",
    tested_against="a stand-in after its specification, 2025-10",
    open_stores=open_stores,
    open_writer=open_writer,
)
