"""Classes of Weaviate: their properties, and searches in them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from app.errors import InvalidRequest, UpstreamFailed
from app.retrieval.endpoint import Endpoint, as_mapping, as_text, reading
from app.retrieval.stores import graphql
from app.retrieval.stores.labels import LABELS, label

LOST = "it has no such collection: `rerankd ingest` makes it, or set RERANKD_COLLECTION"
# Properties of a class that `rerankd ingest` made, beside the text.
ID_FIELD = "rerankd_id"
METADATA = "metadata"
# How a condition names a value of this type of property, and the type that it has in Python.
VALUES: Mapping[str, tuple[str, type | tuple[type, ...]]] = {
    "text": ("valueText", str),
    "int": ("valueInt", int),
    "number": ("valueNumber", (int, float)),
    "boolean": ("valueBoolean", bool),
    "uuid": ("valueText", str),
    "date": ("valueDate", str),
}
CLASS = re.compile(r"[A-Z][_0-9A-Za-z]*", re.ASCII)
MAX_REASON_CHARS = 300

# Type of each property that GraphQL can return without naming its parts.
Properties = Mapping[str, str]


def class_of(collection: str) -> str:
    """Weaviate's names begin with a capital letter."""
    name = collection[:1].upper() + collection[1:]
    if not CLASS.fullmatch(name):
        raise InvalidRequest(
            "collection: in Weaviate a name has letters, digits and _, and begins with a letter",
            field="collection",
        )
    return name


def condition(properties: Properties, name: str, value: Any) -> dict[str, Any] | None:
    """None where nothing can match."""
    if LABELS in properties:
        return {
            "path": [LABELS],
            "operator": graphql.Word("ContainsAll"),
            "valueText": [label(name, value)],
        }
    kind = properties.get(name, "").removesuffix("[]")
    if kind not in VALUES:
        return None
    field, expected = VALUES[kind]
    if not isinstance(value, expected) or (isinstance(value, bool) and kind != "boolean"):
        return None
    return {"path": [name], "operator": graphql.Word("Equal"), field: value}


def as_facts(properties: Mapping[str, Any]) -> Mapping[str, Any]:
    """Metadata of a chunk that `rerankd ingest` wrote."""
    return as_mapping(json.loads(as_text(properties[METADATA])))


class Classes:
    """Properties of a class are requested once, and again after a failed search."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.name = endpoint.name
        self._known: dict[str, Properties] = {}

    async def properties(self, name: str) -> Properties:
        if name not in self._known:
            answer = await self.endpoint.ask("GET", f"/v1/schema/{name}")
            with reading(self.name):
                as_text(answer["class"])
                kinds = {
                    as_text(entry["name"]): as_text(entry["dataType"][0])
                    for entry in answer.get("properties") or ()
                }
            self._known[name] = {key: kind for key, kind in kinds.items() if is_plain(kind)}
        return self._known[name]

    async def find(self, name: str) -> Properties | None:
        """None if there is no such class."""
        try:
            return await self.properties(name)
        except UpstreamFailed as error:
            if error.status != 404:
                raise
            return None

    async def get(self, name: str, arguments: str, fields: str) -> Sequence[Mapping[str, Any]]:
        query = f"{{ Get {{ {name}({arguments}) {{ {fields} }} }} }}"
        answer = await self.endpoint.ask("POST", "/v1/graphql", {"query": query})
        with reading(self.name):
            errors = answer.get("errors")
            if not errors:
                return list(answer["data"]["Get"][name])
            reason = as_text(errors[0]["message"])[:MAX_REASON_CHARS]
        self._known.pop(name, None)
        raise UpstreamFailed(
            f"{self.name} refused the search: {reason}: {self._hint(reason)}", upstream=self.name
        )

    def _hint(self, reason: str) -> str:
        """A class that is missing is an error of the query, which names it."""
        if "Cannot query field" in reason:
            return LOST
        return "it may hold vectors of another embedder, or know no such field"

    async def close(self) -> None:
        await self.endpoint.close()


def is_plain(kind: str) -> bool:
    """References and objects have parts, which a query would have to name."""
    return kind.removesuffix("[]") in VALUES
