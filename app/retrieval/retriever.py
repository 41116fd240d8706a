"""The first stage: all stores search for all queries at once, and their lists are fused."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from app.errors import InvalidRequest, UpstreamFailed, UpstreamTimeout
from app.events import Observe, StoreSearched, ignore
from app.retrieval.embedder import Embedder
from app.retrieval.fusion import fuse
from app.retrieval.store import (
    COLLECTION,
    MAX_FILTER_NAME,
    MAX_FILTER_TEXT,
    MAX_FILTERS,
    Candidate,
    Search,
    Store,
)

COLLECTION_NAME = re.compile(COLLECTION)
Vectors = asyncio.Task[list[list[float]]]
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Retrieved:
    """Best first, duplicates merged. A warning names a store whose candidates are missing."""

    candidates: Sequence[Candidate]
    warnings: Sequence[str] = ()


class Retriever:
    def __init__(
        self,
        stores: Sequence[Store],
        embedder: Embedder | None = None,
        observe: Observe = ignore,
        *,
        passage_chars: int,
    ) -> None:
        self._passage_chars = passage_chars
        self._stores = stores
        self._embedder = embedder
        self._observe = observe

    async def retrieve(
        self,
        queries: Sequence[str],
        *,
        k: int,
        filters: Mapping[str, Any],
        collection: str | None,
    ) -> Retrieved:
        check(filters, collection)
        searches = [Search(text, k, None, filters, collection) for text in queries]
        vectors = self._embed(queries)
        outcomes = await asyncio.gather(
            *(
                self._search(store, search, position, vectors)
                for store in self._stores
                for position, search in enumerate(searches)
            )
        )
        for outcome in outcomes:
            if isinstance(outcome, InvalidRequest):
                raise outcome
        lists = [outcome for outcome in outcomes if isinstance(outcome, list)]
        failures = [outcome for outcome in outcomes if isinstance(outcome, UpstreamFailed)]
        if failures and not lists:
            raise failures[0]
        warnings = dict.fromkeys(f"{failure}: its candidates are missing" for failure in failures)
        return self._bounded(fuse(lists, k), list(warnings))

    def _bounded(self, candidates: Sequence[Candidate], warnings: list[str]) -> Retrieved:
        """Stores may hold passages of any length: a whole book would delay all requests."""
        limit = self._passage_chars
        kept = [
            replace(candidate, text=candidate.text[:limit])
            if len(candidate.text) > limit
            else candidate
            for candidate in candidates
        ]
        if cut := sum(len(candidate.text) > limit for candidate in candidates):
            warnings.append(f"{cut} passages were cut to {limit} characters (max_document_chars)")
        return Retrieved(kept, tuple(warnings))

    async def close(self) -> None:
        for store in self._stores:
            await store.close()
        if self._embedder is not None:
            await self._embedder.close()

    def _embed(self, queries: Sequence[str]) -> Vectors | None:
        if (
            not queries
            or self._embedder is None
            or all(store.reads == "words" for store in self._stores)
        ):
            return None
        call = self._timed(self._embedder.name, self._embedder.embed_queries(queries))
        return asyncio.create_task(call, name="embed")

    async def _search(
        self, store: Store, search: Search, position: int, vectors: Vectors | None
    ) -> list[Candidate] | UpstreamFailed | InvalidRequest:
        try:
            if store.reads == "vector" and vectors is not None:
                search = replace(search, vector=(await vectors)[position])
            return await self._timed(store.name, store.search(search))
        except (UpstreamFailed, InvalidRequest) as error:
            return error

    async def _timed(self, name: str, call: Coroutine[Any, Any, Answer]) -> Answer:
        now = asyncio.get_running_loop().time
        started, outcome = now(), "failed"
        try:
            answer = await call
            outcome = "ok"
            return answer
        except UpstreamTimeout:
            outcome = "timeout"
            raise
        finally:
            self._observe(StoreSearched(name, outcome, now() - started))


def check(filters: Mapping[str, Any], collection: str | None) -> None:
    """Names become part of addresses and statements of stores; values are only compared."""
    if collection is not None and not COLLECTION_NAME.fullmatch(collection):
        raise InvalidRequest(
            "collection: at most 128 letters, digits, dots, hyphens and underscores, the first a "
            "letter or digit",
            field="collection",
            limit=128,
        )
    if len(filters) > MAX_FILTERS:
        raise InvalidRequest(
            f"filters holds {len(filters)} names, more than the limit of {MAX_FILTERS}",
            field="filters",
            limit=MAX_FILTERS,
        )
    for name, value in filters.items():
        check_name(name)
        check_value(f"filters.{name}", value)


def check_name(name: str) -> None:
    """In many query languages `$` begins an operator; in none it begins a name."""
    if len(name) > MAX_FILTER_NAME:
        raise InvalidRequest(
            f"filters: a name holds {len(name)} characters, more than the limit of "
            f"{MAX_FILTER_NAME}",
            field="filters",
            limit=MAX_FILTER_NAME,
        )
    if not name or name.startswith("$") or "\0" in name:
        raise InvalidRequest(
            "filters: a name must not be empty, begin with $ or hold a null character",
            field="filters",
        )


def check_value(field: str, value: Any) -> None:
    if not comparable(value):
        raise InvalidRequest(
            f"{field}: must be a text without null characters, a number or true or false",
            field=field,
        )
    if isinstance(value, str) and len(value) > MAX_FILTER_TEXT:
        raise InvalidRequest(
            f"{field} holds {len(value)} characters, more than the limit of {MAX_FILTER_TEXT}",
            field=field,
            limit=MAX_FILTER_TEXT,
        )


def comparable(value: Any) -> bool:
    """Whether JSON and the query language of every store can express the value."""
    if isinstance(value, int | float):
        return -(2**63) <= value < 2**63
    return isinstance(value, str) and "\0" not in value
