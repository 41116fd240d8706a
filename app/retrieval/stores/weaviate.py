"""Weaviate, by its REST API and GraphQL: neighbours, BM25, or both (`?search=hybrid`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from app.errors import LoadFailed
from app.retrieval.endpoint import as_candidate, as_mapping, as_number, reading, with_text
from app.retrieval.store import Candidate, Search, Store
from app.retrieval.stores import graphql
from app.retrieval.stores.kind import Opening, StoreKind
from app.retrieval.stores.labels import LABELS
from app.retrieval.stores.weaviate_classes import (
    ID_FIELD,
    LOST,
    METADATA,
    Classes,
    Properties,
    as_facts,
    class_of,
    condition,
)
from app.retrieval.stores.weaviate_writer import WeaviateWriter

SearchKind = Literal["vector", "words", "hybrid"]
KINDS: Sequence[SearchKind] = ("vector", "words", "hybrid")


class WeaviateStore:
    name = "weaviate"

    def __init__(self, classes: Classes, collection: str, text: str, kind: SearchKind) -> None:
        self.reads: Literal["words", "vector"] = "words" if kind == "words" else "vector"
        self._classes = classes
        self._collection = collection
        self._text = text
        self._kind = kind

    async def search(self, search: Search) -> list[Candidate]:
        name = class_of(search.collection or self._collection)
        properties = await self._classes.properties(name)
        conditions = [condition(properties, *entry) for entry in search.filters.items()]
        if None in conditions:
            return []
        arguments = {"limit": search.k, **self._near(search)}
        if conditions:
            arguments["where"] = {"operator": graphql.Word("And"), "operands": conditions}
        # Only classes that `rerankd ingest` made have fewer properties of interest than all.
        wanted = [self._text, ID_FIELD, METADATA] if LABELS in properties else list(properties)
        fields = f"{' '.join(wanted)} _additional {{ id distance score }}"
        rows = await self._classes.get(name, graphql.arguments(arguments), fields)
        with reading(self.name):
            candidates = [self._candidate(row, properties) for row in rows]
            return with_text(self.name, candidates)

    def _near(self, search: Search) -> dict[str, Any]:
        if self._kind == "vector":
            return {"nearVector": {"vector": list(search.vector or ())}}
        words: dict[str, Any] = {"query": search.text, "properties": [self._text]}
        if self._kind == "words":
            return {"bm25": words}
        return {"hybrid": {**words, "vector": list(search.vector or ())}}

    def _candidate(self, row: Mapping[str, Any], properties: Properties) -> Candidate | None:
        """The scores of words are texts; a distance is smaller where vectors are nearer."""
        additional = row["_additional"]
        if self._kind == "vector":
            score = 1 - as_number(additional["distance"])
        else:
            score = as_number(float(additional["score"]))
        own = {key: value for key, value in row.items() if key != "_additional"}
        text = own.pop(self._text, None)
        if LABELS not in properties:
            facts = {key: value for key, value in own.items() if value is not None}
            return as_candidate(additional["id"], text, facts, score)
        return as_candidate(own[ID_FIELD], text, as_facts(as_mapping(own)), score)

    async def close(self) -> None:
        await self._classes.close()


def kind_of(opening: Opening) -> SearchKind:
    wanted = opening.address.options.get("search")
    if wanted is None:
        return "vector" if opening.has_embedder else "words"
    for kind in KINDS:
        if wanted == kind:
            return kind
    raise LoadFailed(f"setting store: ?search= is one of {', '.join(KINDS)}")


def classes_of(opening: Opening) -> Classes:
    headers = {"Authorization": "Bearer {key}"}
    return Classes(opening.endpoint(headers, LOST, path=opening.address.path))


def text_of(opening: Opening) -> str:
    text = opening.address.options.get("text") or "text"
    if not graphql.is_name(text):
        raise LoadFailed("setting store: ?text= names a property: letters, digits and _ only")
    return text


def open_stores(opening: Opening) -> list[Store]:
    store = WeaviateStore(
        classes_of(opening), opening.collection, text_of(opening), kind_of(opening)
    )
    return [store]


def open_writer(opening: Opening) -> WeaviateWriter:
    if text_of(opening) in (ID_FIELD, METADATA, LABELS):
        raise LoadFailed(f"setting store: ?text= is none of {ID_FIELD}, {METADATA} and {LABELS}")
    has_vectors = opening.address.options.get("search") != "words" and opening.has_embedder
    return WeaviateWriter(
        classes_of(opening), opening.collection, text_of(opening), wants_vectors=has_vectors
    )


STORE = StoreKind(
    title="Weaviate",
    schemes=("weaviate",),
    examples=("weaviate://host:8080",),
    default_port=8080,
    reads="vectors, words or both",
    tested_against="a stand-in after its documentation",
    open_stores=open_stores,
    open_writer=open_writer,
)
