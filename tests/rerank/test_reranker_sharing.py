"""What several requests ask for at once is computed once."""

from __future__ import annotations

import asyncio

import pytest

from tests.rerank.bench import Bench, order, query

pytestmark = pytest.mark.anyio


async def test_what_is_being_computed_for_another_request_is_not_computed_again() -> None:
    bench = Bench()
    async with bench.open(cache_bytes=10_000) as reranker:
        queries = [query("a", "a b", "a b c"), query("a b c", "a b", "a")]
        rankings = await asyncio.gather(*map(reranker.rank, queries))
    assert sorted(mark for batch in bench.engine.batches for mark in batch) == [1, 2, 3]
    assert [order(ranking) for ranking in rankings] == [[2, 1, 0], [0, 1, 2]]
    assert sorted(ranking.usage.cached for ranking in rankings) == [0, 3]


async def test_with_the_cache_off_nothing_is_shared() -> None:
    bench = Bench()
    async with bench.open() as reranker:
        await asyncio.gather(*(reranker.rank(query("a", "a b")) for _ in range(2)))
    assert sorted(mark for batch in bench.engine.batches for mark in batch) == [1, 1, 2, 2]


async def test_nobody_waits_for_a_larger_or_a_less_urgent_request() -> None:
    bench = Bench()
    async with bench.open(cache_bytes=10_000) as reranker:
        large, late = query("a", "a b", "a b c", priority=5), query("a", priority=0)
        await asyncio.gather(reranker.rank(large), reranker.rank(late))
    assert sorted(mark for batch in bench.engine.batches for mark in batch) == [1, 1, 2, 3]


async def test_when_the_one_who_computes_goes_away_the_other_computes() -> None:
    bench = Bench()
    async with bench.open(cache_bytes=10_000) as reranker:
        first = asyncio.create_task(reranker.rank(query("a", "a b")))
        second = asyncio.create_task(reranker.rank(query("a", "a b")))
        await asyncio.sleep(0)  # both have begun
        first.cancel()
        ranking = await second
    assert order(ranking) == [1, 0]
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_cancelled_waiter_does_not_cancel_the_one_who_computes() -> None:
    bench = Bench()
    async with bench.open(cache_bytes=10_000) as reranker:
        tasks = [asyncio.create_task(reranker.rank(query("a", "a b"))) for _ in range(3)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        assert [order(await task) for task in (tasks[0], tasks[2])] == [[1, 0], [1, 0]]
