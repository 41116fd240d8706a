from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

from app.bulk.gathering import Gathering
from app.errors import Draining, ScoringFailed, ServiceError, TooLong
from app.rerank.batcher import Batcher, Limits
from app.rerank.cache import Cache
from app.rerank.query import Document, Query, Ranking
from app.rerank.reranker import Reranker
from tests.fakes import FakeEngine, WordEncoder

pytestmark = pytest.mark.anyio

BATCH_TOKENS = 20


class Blocks:
    """A reranker whose pairs are gathered: a document scores as many points as it has words."""

    def __init__(self, batcher: Batcher, gathering: Gathering, reranker: Reranker) -> None:
        self.batcher = batcher
        self._gathering = gathering
        self._reranker = reranker

    async def rank_all(self, *queries: Query) -> list[Ranking | ServiceError]:
        return await self._gathering.rank_all(self._reranker, queries)


@asynccontextmanager
async def opened(engine: FakeEngine) -> AsyncIterator[Blocks]:
    clock = asyncio.get_running_loop().time
    with ThreadPoolExecutor(1) as threads:
        async with Batcher(engine.score, Limits(BATCH_TOKENS, 10_000)) as batcher:
            gathering = Gathering(batcher)
            reranker = Reranker(
                "words", WordEncoder(15), gathering, Cache(0, 1, clock), threads, 1e9
            )
            yield Blocks(batcher, gathering, reranker)


def query(*words: int, truncate: bool = True) -> Query:
    documents = [Document("w " * count) for count in words]
    return Query("q", documents, score="logit", truncate=truncate)


def logits(ranking: Ranking | ServiceError) -> list[float]:
    assert isinstance(ranking, Ranking), ranking
    return list(ranking.logits)


async def test_the_pairs_of_all_queries_run_longest_first() -> None:
    engine = FakeEngine()
    async with opened(engine) as blocks:
        rankings = await blocks.rank_all(query(2, 9), query(8), query(1, 3))
    assert [logits(ranking) for ranking in rankings] == [[2, 9], [8], [1, 3]]
    assert [mark for batch in engine.batches for mark in batch] == [9, 8, 3, 2, 1]
    assert engine.batches[0] == [9, 8]


async def test_blocks_run_in_turn_and_each_gets_its_own_scores() -> None:
    engine = FakeEngine()
    async with opened(engine) as blocks:
        first, second = await asyncio.gather(
            blocks.rank_all(query(1), query(2)), blocks.rank_all(query(9), query(8))
        )
    assert [*map(logits, first), *map(logits, second)] == [[1], [2], [9], [8]]
    assert engine.batches == [[2, 1], [9, 8]]


async def test_a_query_that_brings_no_pairs_does_not_hold_the_block() -> None:
    async with opened(FakeEngine()) as blocks:
        good, long, blank = await blocks.rank_all(query(3), query(99, truncate=False), query(0))
    assert logits(good) == [3]
    assert isinstance(long, TooLong)
    assert isinstance(blank, Ranking)
    assert blank.usage.empty == [0]


async def test_a_pair_that_cannot_be_scored_costs_its_query_only() -> None:
    engine = FakeEngine()
    engine.poison = {7}
    async with opened(engine) as blocks:
        mixed, alone, other = await blocks.rank_all(query(7, 4), query(7), query(5))
    assert isinstance(mixed, Ranking)
    assert mixed.usage.failed == [0]
    assert isinstance(alone, ScoringFailed)
    assert logits(other) == [5]


async def test_a_block_without_queries_ends() -> None:
    async with opened(FakeEngine()) as blocks:
        assert await blocks.rank_all() == []


async def test_a_batcher_that_has_ended_fails_the_block_and_not_its_rows() -> None:
    async with opened(FakeEngine()) as blocks:
        await blocks.batcher.__aexit__()
        with pytest.raises(Draining):
            await blocks.rank_all(query(1), query(99, truncate=False))
