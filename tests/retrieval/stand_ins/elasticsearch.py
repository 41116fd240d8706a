"""Indexes and documents as the references of Elasticsearch 8 and OpenSearch 2 have them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.retrieval.stand_ins.elasticsearch_bodies import (
    ClearScroll,
    CreateIndex,
    DenseVector,
    KnnVector,
    Near,
    NearOfOpenSearch,
    NextPage,
    Search,
)
from tests.retrieval.stand_ins.elasticsearch_index import Index, nearest, ranked
from tests.retrieval.stand_ins.serving import Answered, Asked, Undocumented, only

PLAIN = "application/json"
LINES = "application/x-ndjson"
SHARDS = {"total": 1, "successful": 1, "skipped": 0, "failed": 0}


class Elasticsearch:
    vector: type = DenseVector

    def __init__(self) -> None:
        self.indexes: dict[str, Index] = {}
        self._scrolls: dict[str, list[Answered]] = {}

    def left_open(self) -> list[str]:
        return [f"scroll {name} was never cleared" for name in self._scrolls]

    def answer(self, asked: Asked) -> Answered:
        if asked.body and asked.kind != (LINES if asked.path.endswith("/_bulk") else PLAIN):
            raise Undocumented(f"no such content: {asked.kind}")
        if asked.path == "/_search/scroll" and not asked.params:
            return self._scroll(asked)
        _, name, *rest = asked.path.split("/")
        verb = f"{asked.method} {'/'.join(rest)}".strip()
        if verb == "PUT":
            return self._create(name, CreateIndex.model_validate_json(asked.body))
        if name in self.indexes:
            return self._answer(name, verb, asked)
        if verb == "POST _bulk":
            raise Undocumented("the index would be made with mappings of chance")
        return failed(404, "index_not_found_exception", f"no such index [{name}]")

    def _answer(self, name: str, verb: str, asked: Asked) -> Answered:
        match verb:
            case "GET _mapping":
                shown = {path: one.model_dump() for path, one in self.indexes[name].fields.items()}
                return Answered(200, {name: {"mappings": {"properties": shown}}})
            case "DELETE":
                del self.indexes[name]
                return Answered(200, {"acknowledged": True})
            case "POST _bulk":
                return bulk(name, self.indexes[name], asked)
            case "POST _search":
                return self._search(name, asked)
        raise Undocumented("no such path")

    def _create(self, name: str, body: CreateIndex) -> Answered:
        if name in self.indexes:
            return failed(400, "resource_already_exists_exception", f"index [{name}] exists")
        if name != name.lower():
            return failed(400, "invalid_index_name_exception", "must be lowercase")
        vectors = [one for one in body.mappings.properties.values() if "vector" in one.type]
        if any(not isinstance(one, self.vector) for one in vectors):
            return failed(400, "mapper_parsing_exception", "No handler for type")
        if bool(body.settings.index) != bool(vectors and self.vector is KnnVector):
            raise Undocumented("index.knn is of OpenSearch's indexes with vectors")
        self.indexes[name] = Index(body.mappings)
        return Answered(200, {"acknowledged": True, "shards_acknowledged": True, "index": name})

    def _search(self, name: str, asked: Asked) -> Answered:
        body, index = Search.model_validate_json(asked.body), self.indexes[name]
        scored = self.scored(index, body)
        rows = [hit(name, index.documents[one], one, score, body) for one, score in scored]
        if asked.params == {"scroll": "2m"} and body.sort:
            key = f"scroll-{len(self._scrolls)}"
            pages = [rows[at : at + body.size] for at in range(0, len(rows), body.size)]
            self._scrolls[key] = [found(page, len(rows), key) for page in [*pages, []]]
            return self._scrolls[key].pop(0)
        if asked.params or body.sort:
            raise Undocumented("no such parameters")
        return found(rows[: body.size], len(rows))

    def _scroll(self, asked: Asked) -> Answered:
        if asked.method == "DELETE":
            key = ClearScroll.model_validate_json(asked.body).scroll_id
            freed = self._scrolls.pop(key, None) is not None
            return Answered(200 if freed else 404, {"succeeded": True, "num_freed": int(freed)})
        page = NextPage.model_validate_json(asked.body)
        pages = self._scrolls.get(page.scroll_id)
        if asked.method != "POST" or not pages:
            return failed(404, "search_phase_execution_exception", "No search context found")
        return pages.pop(0)

    def scored(self, index: Index, body: Search) -> list[tuple[str, float]]:
        if body.knn is None:
            return ranked(index, body.query or {"match_all": {}})
        near = Near.model_validate(body.knn)
        if body.query is not None or near.num_candidates < near.k:
            raise Undocumented("num_candidates must be at least k")
        scores = nearest(index, near.field, near.query_vector, near.filter)
        return scores[: near.k]


class OpenSearch(Elasticsearch):
    vector = KnnVector

    def scored(self, index: Index, body: Search) -> list[tuple[str, float]]:
        if body.knn is not None:
            raise Undocumented("OpenSearch has no knn beside query")
        if "knn" not in (body.query or {}):
            return super().scored(index, body)
        ((field, given),) = (body.query or {})["knn"].items()
        near = NearOfOpenSearch.model_validate(given)
        filters = near.filter["bool"]["must"] if near.filter else []
        return nearest(index, field, near.vector, filters)[: near.k]


def failed(status: int, kind: str, reason: str) -> Answered:
    error = {"type": kind, "reason": reason}
    return Answered(status, {"error": {"root_cause": [error], **error}, "status": status})


def hit(
    index: str, document: dict[str, Any], name: str, score: float, body: Search
) -> dict[str, Any]:
    if isinstance(body.source, list):
        shown = only(document, body.source)
    else:
        hidden = body.source["excludes"]
        shown = {key: value for key, value in document.items() if key not in hidden}
    place = {"sort": [0], "_score": None} if body.sort else {"_score": score}
    return {"_index": index, "_id": name, "_source": shown, **place}


def found(rows: list[dict[str, Any]], total: int, scroll: str | None = None) -> Answered:
    hits = {"total": {"value": total, "relation": "eq"}, "max_score": None, "hits": rows}
    body = {"took": 1, "timed_out": False, "_shards": SHARDS, "hits": hits}
    return Answered(200, body if scroll is None else {"_scroll_id": scroll, **body})


def bulk(name: str, index: Index, asked: Asked) -> Answered:
    if asked.params != {"refresh": "true"}:
        raise Undocumented("without ?refresh=true the next request does not see this write")
    *raw, end = asked.body.split(b"\n")
    if end or not raw:
        raise Undocumented("the last line must end with a newline")
    lines = iter([json.loads(line) for line in raw])
    items = [acted(name, index, action, lines) for action in lines]
    errors = any("error" in one for item in items for one in item.values())
    return Answered(200, {"took": 1, "errors": errors, "items": items})


def acted(name: str, index: Index, action: Any, lines: Iterator[Any]) -> dict[str, Any]:
    match action:
        case {"index": {"_id": str(one), **more}} if not more:
            known, refusal = one in index.documents, index.put(one, next(lines))
            outcome = {"_index": name, "_id": one}
            if refusal:
                error = {"type": "document_parsing_exception", "reason": refusal}
                return {"index": {**outcome, "status": 400, "error": error}}
            told = {"result": "updated", "status": 200} if known else CREATED
            return {"index": {**outcome, **told}}
        case {"delete": {"_id": str(one), **more}} if not more:
            known = index.documents.pop(one, None) is not None
            told = {"result": "deleted", "status": 200} if known else GONE
            return {"delete": {"_index": name, "_id": one, **told}}
    raise Undocumented(f"no such action: {action}")


CREATED = {"result": "created", "status": 201}
GONE = {"result": "not_found", "status": 404}
