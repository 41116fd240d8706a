"""Weaviate as `rerankd ingest` fills it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_json

from app.errors import InvalidRequest, LoadFailed, UpstreamFailed
from app.retrieval.endpoint import as_id, as_mapping, as_text, reading, sound
from app.retrieval.store import Candidate
from app.retrieval.stores.labels import LABELS, labels_of
from app.retrieval.stores.weaviate_classes import (
    ID_FIELD,
    METADATA,
    Classes,
    as_facts,
    class_of,
)
from app.retrieval.writer import Held, check_size, held_as, uuid_of

PAGE = 500
IDS_PER_REMOVAL = 1000
MAX_REASON_CHARS = 300


class WeaviateWriter:
    name = "weaviate"

    def __init__(
        self, classes: Classes, collection: str, text: str, *, wants_vectors: bool
    ) -> None:
        self.wants_vectors = wants_vectors
        self._classes = classes
        self._text = text
        self._vector_size: int | None = None
        try:
            self._class = class_of(collection)
        except InvalidRequest as error:
            raise LoadFailed(f"setting {error}") from error

    async def held(self) -> list[Held]:
        if not await self._exists():
            return []
        held: list[Held] = []
        last = ""
        while True:
            after = f"&after={last}" if last else ""
            path = f"/v1/objects?class={self._class}&limit={PAGE}{after}"
            answer = await self._classes.endpoint.ask("GET", path)
            with reading(self.name):
                rows = [(as_id(row["id"]), row["properties"]) for row in answer["objects"]]
                held += [self._held(name, as_mapping(row)) for name, row in rows]
            if len(rows) < PAGE:
                return held
            last = rows[-1][0]

    def _held(self, name: str, properties: Mapping[str, Any]) -> Held:
        """An object of other programs keeps its own id, and has no source."""
        own = properties.get(ID_FIELD)
        if isinstance(own, str) and uuid_of(own) == name:
            return held_as(own, as_facts(properties))
        return Held(name, None, None)

    async def put(self, chunks: Sequence[Candidate], vectors: Sequence[Sequence[float]]) -> None:
        await self._fit(len(vectors[0]) if vectors else 0)
        objects = []
        for position, chunk in enumerate(chunks):
            vector = {"vector": list(vectors[position])} if vectors else {}
            entry = {"class": self._class, "id": uuid_of(chunk.id), **vector}
            objects.append({**entry, "properties": self._properties(chunk)})
        answer = await self._classes.endpoint.ask("POST", "/v1/batch/objects", {"objects": objects})
        with reading(self.name):
            reasons = [
                as_text(error["message"])
                for entry in answer
                for error in as_mapping(entry["result"].get("errors")).get("error", ())
            ]
        if reasons:
            raise UpstreamFailed(
                f"{self.name} refused {len(reasons)} of {len(objects)} chunks, the first because "
                f"of {reasons[0][:MAX_REASON_CHARS]}",
                upstream=self.name,
            )

    def _properties(self, chunk: Candidate) -> dict[str, Any]:
        facts = sound(dict(chunk.metadata))
        return {
            self._text: sound(chunk.text),
            ID_FIELD: chunk.id,
            METADATA: to_json(facts).decode(),
            LABELS: labels_of(facts),
        }

    async def remove(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), IDS_PER_REMOVAL):
            names = [uuid_of(name) for name in ids[start : start + IDS_PER_REMOVAL]]
            chosen = {"path": ["id"], "operator": "ContainsAny", "valueTextArray": names}
            body = {"match": {"class": self._class, "where": chosen}, "output": "minimal"}
            answer = await self._classes.endpoint.ask("DELETE", "/v1/batch/objects", body)
            with reading(self.name):
                failures = int(answer["results"]["failed"])
            if failures:
                raise UpstreamFailed(f"{self.name} kept {failures} chunks", upstream=self.name)

    async def _exists(self) -> bool:
        properties = await self._classes.find(self._class)
        if properties is None:
            return False
        if LABELS not in properties or self._text not in properties:
            raise UpstreamFailed(
                f"{self.name}: another program made the collection {self._class}, or its text has "
                "another name: set another RERANKD_COLLECTION to fill",
                upstream=self.name,
            )
        return True

    async def _fit(self, size: int) -> None:
        """Creates the class if it is missing, and checks the size of its vectors."""
        if self._vector_size is None:
            if not await self._exists():
                await self._make()
            self._vector_size = await self._stored_size() or size
        check_size(self.name, self._vector_size, size)

    async def _stored_size(self) -> int:
        """A class has no size before its first vector."""
        path = f"/v1/objects?class={self._class}&limit=1&include=vector"
        answer = await self._classes.endpoint.ask("GET", path)
        with reading(self.name):
            return max((len(row.get("vector") or ()) for row in answer["objects"]), default=0)

    async def _make(self) -> None:
        stored = {"indexFilterable": False, "indexSearchable": False}
        properties = [
            {"name": self._text, "dataType": ["text"], "indexFilterable": False},
            {"name": ID_FIELD, "dataType": ["text"], "tokenization": "field", **stored},
            {"name": METADATA, "dataType": ["text"], **stored},
            # Whole labels are compared.
            {
                "name": LABELS,
                "dataType": ["text[]"],
                "tokenization": "field",
                "indexFilterable": True,
                "indexSearchable": False,
            },
        ]
        body = {
            "class": self._class,
            "vectorizer": "none",
            "vectorIndexConfig": {"distance": "cosine"},
            "properties": properties,
        }
        await self._classes.endpoint.ask("POST", "/v1/schema", body)

    async def close(self) -> None:
        await self._classes.close()
