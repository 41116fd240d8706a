"""Elasticsearch and OpenSearch as `rerankd ingest` fills them; vectors with `?vector=FIELD`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from app.errors import UpstreamFailed
from app.retrieval.endpoint import Endpoint, as_id, as_mapping, as_text, reading
from app.retrieval.store import Candidate
from app.retrieval.stores.layout import Layout
from app.retrieval.writer import Held, check_size, held_as

PAGE = 1000
# Elasticsearch drops a scroll whose next page is not requested within this time.
SCROLL_LIFETIME = "2m"
MAX_REASON_CHARS = 300
# Every kind of value becomes a keyword: then a name may have a number in one chunk and a text in
# another, and filters match both. Lucene accepts keywords of at most 32,766 bytes.
KEYWORDS = [
    {kind: {"match_mapping_type": kind, "mapping": {"type": "keyword", "ignore_above": 8191}}}
    for kind in ("string", "long", "double", "boolean")
]


def index_of(kind: str, layout: Layout, size: int) -> dict[str, Any]:
    """Settings and mappings of an index for vectors of this size; 0 for words alone."""
    fields: dict[str, Any] = {layout.text: {"type": "text"}}
    settings: dict[str, Any] = {}
    if size and kind == "opensearch":
        settings = {"index": {"knn": True}}
        # Only Lucene's engine has filters and cosine in all versions from 2.4.
        method = {"name": "hnsw", "engine": "lucene", "space_type": "cosinesimil"}
        fields[layout.vector] = {"type": "knn_vector", "dimension": size, "method": method}
    elif size:
        vector = {"type": "dense_vector", "dims": size, "index": True, "similarity": "cosine"}
        fields[layout.vector] = vector
    mappings = {"date_detection": False, "dynamic_templates": KEYWORDS, "properties": fields}
    return {"settings": settings, "mappings": mappings}


class ElasticsearchWriter:
    def __init__(self, endpoint: Endpoint, collection: str, layout: Layout) -> None:
        self.name = endpoint.name
        self.wants_vectors = bool(layout.vector)
        self._endpoint = endpoint
        self._root = f"/{collection}"
        self._layout = layout
        self._vector_size: int | None = None

    async def held(self) -> list[Held]:
        """Where vectors are wanted, a passage without a vector counts as missing."""
        if await self._fields() is None:
            return []
        layout = self._layout
        page: dict[str, Any] = {
            "size": PAGE,
            "sort": ["_doc"],
            "_source": [layout.path("source"), layout.path("parent_doc_id")],
        }
        if layout.vector:
            page["query"] = {"exists": {"field": layout.vector}}
        held: list[Held] = []
        answer = await self._endpoint.ask(
            "POST", f"{self._root}/_search?scroll={SCROLL_LIFETIME}", page
        )
        while rows := self._rows(answer, len(held)):
            held += rows
            following = {"scroll": SCROLL_LIFETIME, "scroll_id": answer["_scroll_id"]}
            answer = await self._endpoint.ask("POST", "/_search/scroll", following)
        done = {"scroll_id": answer["_scroll_id"]}
        await self._endpoint.ask("DELETE", "/_search/scroll", done)
        return held

    def _rows(self, answer: Any, before: int) -> list[Held]:
        with reading(self.name):
            as_text(answer["_scroll_id"])
            rows = [
                held_as(as_id(hit["_id"]), self._layout.facts(hit.get("_source")))
                for hit in answer["hits"]["hits"]
            ]
            # When the answer with a page is lost, the repeated call returns the page after it.
            is_short = not rows and before < int(answer["hits"]["total"]["value"])
            if is_short or answer["_shards"]["failed"]:
                raise UpstreamFailed(f"{self.name} did not list all it has", upstream=self.name)
            return rows

    async def put(self, chunks: Sequence[Candidate], vectors: Sequence[Sequence[float]]) -> None:
        await self._fit(len(vectors[0]) if vectors else 0)
        lines: list[Any] = []
        for position, chunk in enumerate(chunks):
            own = {self._layout.vector: vectors[position]} if vectors else {}
            document = self._layout.fields(self.name, chunk, own)
            lines += [{"index": {"_id": chunk.id}}, document]
        await self._bulk(lines)

    async def remove(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), PAGE):
            await self._bulk([{"delete": {"_id": name}} for name in ids[start : start + PAGE]])

    async def _bulk(self, lines: Sequence[Any]) -> None:
        """The status is 200 even if actions fail, so each has its own outcome."""
        path = f"{self._root}/_bulk?refresh=true"
        answer = await self._endpoint.ask("POST", path, lines=lines)
        with reading(self.name):
            outcomes = [outcome for item in answer["items"] for outcome in item.values()]
            errors = [outcome["error"] for outcome in outcomes if "error" in outcome]
            if errors or answer["errors"]:
                raise UpstreamFailed(
                    f"{self.name} refused {len(errors)} of {len(outcomes)} chunks, the first "
                    f"because of {reason_of(errors[0])}",
                    upstream=self.name,
                )

    async def _fit(self, size: int) -> None:
        """Creates the index if it is missing, and checks the size of its vectors."""
        if self._vector_size is None:
            fields = await self._fields()
            if fields is None:
                await self._make(size)
            self._vector_size = self._size_of(fields) if size and fields is not None else size
        check_size(self.name, self._vector_size, size)

    async def _make(self, size: int) -> None:
        try:
            await self._endpoint.ask("PUT", self._root, index_of(self.name, self._layout, size))
        except UpstreamFailed as error:
            if error.status != 400:
                raise
            raise UpstreamFailed(
                f"{self.name} refuses to create the index: RERANKD_COLLECTION must be in lower "
                f"case, and vectors of {size} numbers may be too long for it",
                upstream=self.name,
                status=error.status,
            ) from error

    def _size_of(self, fields: Mapping[str, Any]) -> int:
        field = as_mapping(fields.get(self._layout.vector))
        size = field.get("dims", field.get("dimension"))
        if field.get("type") not in ("dense_vector", "knn_vector") or not isinstance(size, int):
            raise UpstreamFailed(
                f"{self.name}: the index has no vectors in the field {self._layout.vector}: name "
                "theirs with ?vector=, or set another RERANKD_COLLECTION",
                upstream=self.name,
            )
        return size

    async def _fields(self) -> Mapping[str, Any] | None:
        """The fields that the index maps; None if there is no index."""
        try:
            answer = await self._endpoint.ask("GET", f"{self._root}/_mapping")
        except UpstreamFailed as error:
            if error.status != 404:
                raise
            return None
        with reading(self.name):
            indexes = [index["mappings"].get("properties") for index in as_mapping(answer).values()]
            return {name: field for index in indexes for name, field in as_mapping(index).items()}

    async def close(self) -> None:
        await self._endpoint.close()


def reason_of(error: Any) -> str:
    """Includes the cause, which often has more detail."""
    parts = [f"{error['type']}: {error['reason']}"]
    if "caused_by" in error:
        parts.append(str(error["caused_by"].get("reason")))
    return "; ".join(parts)[:MAX_REASON_CHARS]
