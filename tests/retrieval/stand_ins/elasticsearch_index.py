"""An index of Elasticsearch or OpenSearch: what its mappings accept, and what a query matches."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.retrieval.stand_ins.elasticsearch_bodies import KeywordField, Mappings
from tests.retrieval.stand_ins.serving import Undocumented, at, cosine

WORD = re.compile(r"\w+")


class Index:
    def __init__(self, mappings: Mappings) -> None:
        self.templates: dict[str, KeywordField] = {
            template.match_mapping_type: template.mapping
            for named in mappings.dynamic_templates
            for template in named.values()
        }
        self.fields: dict[str, Any] = dict(mappings.properties)
        self.documents: dict[str, dict[str, Any]] = {}

    def put(self, name: str, document: dict[str, Any]) -> str | None:
        """The reason, if it is refused."""
        for path, value in leaves(document):
            field = self.fields.get(path) or self._map(path, value)
            if refusal := refused(path, field, value):
                return refusal
        self.documents[name] = document
        return None

    def _map(self, path: str, value: Any) -> Any:
        kinds = {str: "string", int: "long", float: "double", bool: "boolean"}
        if type(value) not in kinds:
            raise Undocumented(f"what becomes of {path} is left to chance")
        if kinds[type(value)] not in self.templates:
            raise Undocumented(f"{path} would become a text, which no filter finds")
        self.fields[path] = self.templates[kinds[type(value)]]
        return self.fields[path]

    def size(self, path: str) -> int | None:
        field = self.fields.get(path)
        return getattr(field, "dims", getattr(field, "dimension", None))


def leaves(document: dict[str, Any], above: str = "") -> list[tuple[str, Any]]:
    pairs = []
    for name, value in document.items():
        inner = isinstance(value, dict)
        pairs += leaves(value, f"{above}{name}.") if inner else [(f"{above}{name}", value)]
    return pairs


def refused(path: str, field: Any, value: Any) -> str | None:
    if field.type == "long" and not str(value).isdigit():
        return f"failed to parse field [{path}] of type [long]"
    size = getattr(field, "dims", getattr(field, "dimension", None))
    if size is not None and len(value) != size:
        return f"[{path}] has a different number of dimensions [{len(value)}] than [{size}]"
    return None


def nearest(
    index: Index, path: str, vector: list[float], filters: list[dict[str, Any]]
) -> list[tuple[str, float]]:
    if index.size(path) != len(vector):
        raise Undocumented(f"no vectors of {len(vector)} numbers in {path}")
    scores = {
        name: (1 + cosine(vector, document[path])) / 2
        for name, document in index.documents.items()
        if path in document and all(score_of(index, document, condition) for condition in filters)
    }
    return sorted(scores.items(), key=lambda pair: -pair[1])


def ranked(index: Index, query: dict[str, Any]) -> list[tuple[str, float]]:
    scores = {name: score_of(index, document, query) for name, document in index.documents.items()}
    best = sorted(scores.items(), key=lambda pair: -(pair[1] or 0))
    return [(name, score) for name, score in best if score is not None]


def score_of(index: Index, document: dict[str, Any], query: dict[str, Any]) -> float | None:
    """None if it does not match. Each word counts 1, which is not BM25, but gives an order."""
    ((kind, clause),) = query.items()
    match kind, sorted(clause):
        case "match_all", []:
            return 1.0
        case "exists", ["field"]:
            return 1.0 if at(document, clause["field"]) is not None else None
        case "term", [path]:
            return 1.0 if equal(index.fields.get(path), at(document, path), clause[path]) else None
        case "match", [path] if list(clause[path]) == ["query"]:
            if getattr(index.fields.get(path), "type", None) != "text":
                raise Undocumented(f"{path} is no text")
            shared = words(clause[path]["query"]) & words(at(document, path) or "")
            return float(len(shared)) if shared else None
        case "bool", ["filter", "must"] if len(clause["must"]) == 1:
            passed = all(score_of(index, document, condition) for condition in clause["filter"])
            return score_of(index, document, clause["must"][0]) if passed else None
    raise Undocumented(f"no such query: {query}")


def words(text: str) -> set[str]:
    return set(WORD.findall(text.lower()))


def equal(field: Any, value: Any, wanted: Any) -> bool:
    if field is None:
        return False
    if field.type == "keyword":
        return value is not None and as_keyword(value) == as_keyword(wanted)
    if field.type == "long":
        return bool(value == wanted)
    raise Undocumented(f"a term of a field of type {field.type}")


def as_keyword(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
