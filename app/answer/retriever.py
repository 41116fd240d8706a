"""The first stage as one: all stores with all queries at once, fused."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from app.answer.candidate import COLLECTION, Candidate, Search, Store
from app.answer.embedder import Embedder
from app.answer.fusion import fuse
from app.errors import InvalidRequest, UpstreamFailed, UpstreamTimeout

NAMED = re.compile(COLLECTION)
Vectors = asyncio.Task[list[list[float]]]
Observe = Callable[[str, str, float], None]  # who was asked, the outcome, seconds
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
        observe: Observe = lambda name, outcome, seconds: None,
    ) -> None:
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
                self._search(store, search, place, vectors)
                for store in self._stores
                for place, search in enumerate(searches)
            )
        )
        lists = [one for one in outcomes if not isinstance(one, UpstreamFailed)]
        failures = [one for one in outcomes if isinstance(one, UpstreamFailed)]
        if failures and not lists:
            raise failures[0]
        warnings = dict.fromkeys(f"{one}: its candidates are missing" for one in failures)
        return Retrieved(fuse(lists, k), tuple(warnings))

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
        self, store: Store, search: Search, place: int, vectors: Vectors | None
    ) -> list[Candidate] | UpstreamFailed:
        try:
            if store.reads == "vector" and vectors is not None:
                search = replace(search, vector=(await vectors)[place])
            return await self._timed(store.name, store.search(search))
        except UpstreamFailed as error:
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
            self._observe(name, outcome, now() - started)


def check(filters: Mapping[str, Any], collection: str | None) -> None:
    """Names go into addresses and statements of stores; values are compared as they are."""
    if collection is not None and not NAMED.fullmatch(collection):
        raise InvalidRequest(
            "collection: at most 128 letters, digits, dots, hyphens and underscores, the first a "
            "letter or digit",
            field="collection",
            limit=128,
        )
    for name, value in filters.items():
        if not comparable(value):
            raise InvalidRequest(
                f"filters.{name}: must be a text, a number or true or false",
                field=f"filters.{name}",
            )


def comparable(value: Any) -> bool:
    """What JSON and every store's own language can say."""
    if isinstance(value, int | float):
        return -(2**63) <= value < 2**63
    return isinstance(value, str)
