"""What another replica has scored is not scored again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from app.errors import TooLong
from app.event_loop import pause
from app.rerank.cache import TextScore
from tests.rerank.bench import Bench, order, query

pytestmark = pytest.mark.anyio

CACHE_BYTES = 10_000


class Replicas:
    """The scores of all replicas, as a dictionary."""

    def __init__(self) -> None:
        self.scores: dict[bytes, TextScore] = {}
        self.reads: list[int] = []
        self.puts: list[int] = []

    async def get(self, keys: Sequence[bytes]) -> Mapping[bytes, TextScore]:
        self.reads.append(len(keys))
        await asyncio.sleep(0)
        return {key: self.scores[key] for key in keys if key in self.scores}

    def put(self, scores: Mapping[bytes, TextScore]) -> None:
        self.puts.append(len(scores))
        self.scores.update(scores)


async def test_scores_of_another_replica_are_used_and_kept() -> None:
    replicas, first, second = Replicas(), Bench(), Bench()
    async with first.open(shared_scores=replicas, cache_bytes=CACHE_BYTES) as reranker:
        expected = await reranker.rank(query("a", "a b", "a b c"))
    async with second.open(shared_scores=replicas, cache_bytes=CACHE_BYTES) as reranker:
        rankings = [await reranker.rank(query("a", "a b", "a b c")) for _ in range(2)]
    assert [order(ranking) for ranking in rankings] == [order(expected)] * 2
    assert [ranking.usage.cached for ranking in rankings] == [3, 3]
    assert [ranking.usage.tokens for ranking in rankings] == [expected.usage.tokens] * 2
    assert second.engine.batches == []
    # The third request found all of them in the replica's own cache.
    assert (replicas.reads, replicas.puts) == ([3, 3], [3])


async def test_only_what_is_missing_is_read_and_only_what_is_computed_is_written() -> None:
    replicas = Replicas()
    async with Bench().open(shared_scores=replicas) as reranker:
        await reranker.rank(query("a", "a b"))
    bench = Bench()
    async with bench.open(shared_scores=replicas, cache_bytes=CACHE_BYTES) as reranker:
        await reranker.rank(query("a"))
        await reranker.rank(query("a", "a b", "a b c", "a b c d", " "))
    assert replicas.reads == [2, 1, 3]
    assert replicas.puts == [2, 2]
    assert sorted(mark for batch in bench.engine.batches for mark in batch) == [3, 4]


async def test_callers_with_different_keys_share_nothing() -> None:
    replicas, bench = Replicas(), Bench()
    for caller in ("one", "two", "one"):
        async with bench.open(shared_scores=replicas) as reranker:
            await reranker.rank(query("a b", caller=caller))
    assert bench.engine.batches == [[2], [2]]


async def test_what_this_replica_is_computing_is_not_read() -> None:
    replicas, bench = Replicas(), Bench()
    async with bench.open(shared_scores=replicas, cache_bytes=CACHE_BYTES) as reranker:
        first = asyncio.create_task(reranker.rank(query("a", "a b")))
        while not bench.encoder.calls:
            await pause()
        await asyncio.gather(first, reranker.rank(query("a", "a b")))
    assert replicas.reads == [2]
    assert sorted(mark for batch in bench.engine.batches for mark in batch) == [1, 2]


async def test_a_text_that_was_cut_elsewhere_is_counted_here_if_it_must_not_be_cut() -> None:
    replicas, bench = Replicas(), Bench()
    long = "a " * 600
    async with bench.open(shared_scores=replicas) as reranker:
        await reranker.rank(query(long))
    (score,) = replicas.scores.values()
    assert score.truncated
    async with Bench().open(shared_scores=replicas) as reranker:
        assert (await reranker.rank(query(long))).usage.cached == 1
        with pytest.raises(TooLong):
            await reranker.rank(query(long, truncate=False))


async def test_a_text_that_could_not_be_scored_is_not_written() -> None:
    replicas, bench = Replicas(), Bench()
    bench.engine.poison = {2}
    async with bench.open(shared_scores=replicas) as reranker:
        await reranker.rank(query("a", "a b", "a b c"))
    assert sorted(score.logit for score in replicas.scores.values()) == [1.0, 3.0]
