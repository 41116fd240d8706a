"""A batcher and a reranker over a fake engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from app.engines import Pair
from app.events import Event, ignore
from app.rerank.batcher import Batcher, Limits
from app.rerank.cache import Cache, SharedScores
from app.rerank.prefilter import Compare
from app.rerank.query import Document, Query, Ranking
from app.rerank.reranker import Reranker
from tests.fakes import FakeEngine, WordEncoder, pair


def pairs(*marks: int, tokens: int = 10) -> list[Pair]:
    return [pair(tokens, mark) for mark in marks]


def open_batcher(
    engine: FakeEngine,
    events: list[Event] | None = None,
    *,
    batch: int = 40,
    queue: int = 1000,
    max_wait: float = 0.0,
    at_once: int = 1,
) -> Batcher:
    observe = events.append if events is not None else ignore
    return Batcher(engine.score, Limits(batch, queue, max_wait, at_once), observe)


async def learn_pace(batcher: Batcher) -> None:
    await batcher.submit(pairs(1))


class Bench:
    """A reranker over a fake engine: a document scores as many points as it has words."""

    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.encoder = WordEncoder()
        self.events: list[Event] = []

    @asynccontextmanager
    async def open(
        self,
        limit: float = 10,
        cache_bytes: int = 0,
        shared_scores: SharedScores | None = None,
        compare: Compare | None = None,
    ) -> AsyncIterator[Reranker]:
        clock = asyncio.get_running_loop().time
        with ThreadPoolExecutor(1) as threads:
            async with Batcher(self.engine.score, Limits(1000, 10_000)) as batcher:
                yield Reranker(
                    "words",
                    self.encoder,
                    batcher,
                    Cache(cache_bytes, 60, clock),
                    threads,
                    limit,
                    self.events.append,
                    shared_scores=shared_scores,
                    compare=compare,
                )

    async def rank(self, *texts: str, **options: Any) -> Ranking:
        async with self.open() as reranker:
            return await reranker.rank(query(*texts, **options))


def query(*texts: str, **options: Any) -> Query:
    return Query("q", [Document(text) for text in texts], **options)


def order(ranking: Ranking) -> list[int]:
    return [result.index for result in ranking.results]
