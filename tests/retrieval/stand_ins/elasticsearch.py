"""Indexes and documents as the references of Elasticsearch 8 and OpenSearch 2 describe them."""

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
from tests.retrieval.stand_ins.serving import StoreRequest, StoreResponse, Undocumented, only

PLAIN = "application/json"
LINES = "application/x-ndjson"
SHARDS = {"total": 1, "successful": 1, "skipped": 0, "failed": 0}


class Elasticsearch:
    vector: type = DenseVector

    def __init__(self) -> None:
        self.indexes: dict[str, Index] = {}
        self._scrolls: dict[str, list[StoreResponse]] = {}

    def left_open(self) -> list[str]:
        return [f"scroll {name} was never cleared" for name in self._scrolls]

    def answer(self, request: StoreRequest) -> StoreResponse:
        if request.body and request.content_type != (
            LINES if request.path.endswith("/_bulk") else PLAIN
        ):
            raise Undocumented(f"no such content: {request.content_type}")
        if request.path == "/_search/scroll" and not request.params:
            return self._scroll(request)
        _, name, *rest = request.path.split("/")
        verb = f"{request.method} {'/'.join(rest)}".strip()
        if verb == "PUT":
            return self._create(name, CreateIndex.model_validate_json(request.body))
        if name in self.indexes:
            return self._answer(name, verb, request)
        if verb == "POST _bulk":
            raise Undocumented("the index would be made with mappings of chance")
        return failed(404, "index_not_found_exception", f"no such index [{name}]")

    def _answer(self, name: str, verb: str, request: StoreRequest) -> StoreResponse:
        match verb:
            case "GET _mapping":
                shown = {
                    path: field.model_dump() for path, field in self.indexes[name].fields.items()
                }
                return StoreResponse(200, {name: {"mappings": {"properties": shown}}})
            case "DELETE":
                del self.indexes[name]
                return StoreResponse(200, {"acknowledged": True})
            case "POST _bulk":
                return bulk(name, self.indexes[name], request)
            case "POST _search":
                return self._search(name, request)
        raise Undocumented("no such path")

    def _create(self, name: str, body: CreateIndex) -> StoreResponse:
        if name in self.indexes:
            return failed(400, "resource_already_exists_exception", f"index [{name}] exists")
        if name != name.lower():
            return failed(400, "invalid_index_name_exception", "must be lowercase")
        vectors = [field for field in body.mappings.properties.values() if "vector" in field.type]
        if any(not isinstance(field, self.vector) for field in vectors):
            return failed(400, "mapper_parsing_exception", "No handler for type")
        if bool(body.settings.index) != bool(vectors and self.vector is KnnVector):
            raise Undocumented("index.knn is of OpenSearch's indexes with vectors")
        self.indexes[name] = Index(body.mappings)
        return StoreResponse(
            200, {"acknowledged": True, "shards_acknowledged": True, "index": name}
        )

    def _search(self, name: str, request: StoreRequest) -> StoreResponse:
        body, index = Search.model_validate_json(request.body), self.indexes[name]
        scored = self.scored(index, body)
        rows = [
            hit(name, index.documents[passage_id], passage_id, score, body)
            for passage_id, score in scored
        ]
        if request.params == {"scroll": "2m"} and body.sort:
            key = f"scroll-{len(self._scrolls)}"
            pages = [rows[at : at + body.size] for at in range(0, len(rows), body.size)]
            self._scrolls[key] = [results(page, len(rows), key) for page in [*pages, []]]
            return self._scrolls[key].pop(0)
        if request.params or body.sort:
            raise Undocumented("no such parameters")
        return results(rows[: body.size], len(rows))

    def _scroll(self, request: StoreRequest) -> StoreResponse:
        if request.method == "DELETE":
            key = ClearScroll.model_validate_json(request.body).scroll_id
            freed = self._scrolls.pop(key, None) is not None
            return StoreResponse(
                200 if freed else 404, {"succeeded": True, "num_freed": int(freed)}
            )
        page = NextPage.model_validate_json(request.body)
        pages = self._scrolls.get(page.scroll_id)
        if request.method != "POST" or not pages:
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
        ((field, near_body),) = (body.query or {})["knn"].items()
        near = NearOfOpenSearch.model_validate(near_body)
        filters = near.filter["bool"]["must"] if near.filter else []
        return nearest(index, field, near.vector, filters)[: near.k]


def failed(status: int, kind: str, reason: str) -> StoreResponse:
    error = {"type": kind, "reason": reason}
    return StoreResponse(status, {"error": {"root_cause": [error], **error}, "status": status})


def hit(
    index: str, document: dict[str, Any], name: str, score: float, body: Search
) -> dict[str, Any]:
    if isinstance(body.source, list):
        shown = only(document, body.source)
    else:
        hidden = body.source["excludes"]
        shown = {key: value for key, value in document.items() if key not in hidden}
    order = {"sort": [0], "_score": None} if body.sort else {"_score": score}
    return {"_index": index, "_id": name, "_source": shown, **order}


def results(rows: list[dict[str, Any]], total: int, scroll: str | None = None) -> StoreResponse:
    hits = {"total": {"value": total, "relation": "eq"}, "max_score": None, "hits": rows}
    body = {"took": 1, "timed_out": False, "_shards": SHARDS, "hits": hits}
    return StoreResponse(200, body if scroll is None else {"_scroll_id": scroll, **body})


def bulk(name: str, index: Index, request: StoreRequest) -> StoreResponse:
    if request.params != {"refresh": "true"}:
        raise Undocumented("without ?refresh=true the next request does not see this write")
    *raw, end = request.body.split(b"\n")
    if end or not raw:
        raise Undocumented("the last line must end with a newline")
    lines = iter([json.loads(line) for line in raw])
    items = [acted(name, index, action, lines) for action in lines]
    errors = any("error" in outcome for item in items for outcome in item.values())
    return StoreResponse(200, {"took": 1, "errors": errors, "items": items})


def acted(name: str, index: Index, action: Any, lines: Iterator[Any]) -> dict[str, Any]:
    match action:
        case {"index": {"_id": str(passage_id), **more}} if not more:
            existed, refusal = passage_id in index.documents, index.put(passage_id, next(lines))
            outcome = {"_index": name, "_id": passage_id}
            if refusal:
                error = {"type": "document_parsing_exception", "reason": refusal}
                return {"index": {**outcome, "status": 400, "error": error}}
            status = {"result": "updated", "status": 200} if existed else CREATED
            return {"index": {**outcome, **status}}
        case {"delete": {"_id": str(passage_id), **more}} if not more:
            existed = index.documents.pop(passage_id, None) is not None
            status = {"result": "deleted", "status": 200} if existed else GONE
            return {"delete": {"_index": name, "_id": passage_id, **status}}
    raise Undocumented(f"no such action: {action}")


CREATED = {"result": "created", "status": 201}
GONE = {"result": "not_found", "status": 404}
