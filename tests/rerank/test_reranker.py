from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import DeadlineExceeded, ScoringFailed, TooLong
from app.rerank.batcher import Batcher, Limits
from app.rerank.cache import Cache
from app.rerank.engine import Encoded, Pair
from app.rerank.query import UNSCORED, Document, Query, Ranking, Side, probability
from app.rerank.reranker import PORTION, Reranker, portions
from tests.fakes import FakeEngine, WordEncoder

pytestmark = pytest.mark.anyio


class Bench:
    """A reranker over a fake engine: a document scores as many points as it has words."""

    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.encoder = WordEncoder()
        self.seen: list[Ranking] = []

    @asynccontextmanager
    async def open(self, limit: float = 10, cache_bytes: int = 0) -> AsyncIterator[Reranker]:
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
                    self.seen.append,
                )

    async def rank(self, *texts: str, **asked: Any) -> Ranking:
        async with self.open() as reranker:
            return await reranker.rank(query(*texts, **asked))


def query(*texts: str, **asked: Any) -> Query:
    return Query("q", [Document(text) for text in texts], **asked)


def order(ranking: Ranking) -> list[int]:
    return [result.index for result in ranking.results]


async def test_the_best_document_comes_first() -> None:
    ranking = await Bench().rank("a", "a b c", "a b")
    assert order(ranking) == [1, 2, 0]
    assert [result.score for result in ranking.results] == [
        pytest.approx(probability(logit)) for logit in (3.0, 2.0, 1.0)
    ]


async def test_ties_keep_the_order_in_which_they_were_given() -> None:
    assert order(await Bench().rank("a", "b c", "b", "c d")) == [1, 3, 0, 2]


async def test_logits_are_given_as_they_are() -> None:
    ranking = await Bench().rank("a b", "a", score="logit")
    assert [result.score for result in ranking.results] == [2.0, 1.0]


async def test_top_n_keeps_the_best_and_min_score_drops_what_is_below() -> None:
    assert order(await Bench().rank("a", "a b c", "a b", top_n=2)) == [1, 2]
    assert order(await Bench().rank("a", "a b c", "a b", score="logit", min_score=2.0)) == [1, 2]


async def test_empty_documents_come_last_and_cost_nothing() -> None:
    bench = Bench()
    ranking = await bench.rank("", "a", " \n ")
    assert order(ranking) == [1, 0, 2]
    assert [result.score for result in ranking.results[1:]] == [0.0, 0.0]
    assert bench.encoder.calls == [["a"]]
    assert ranking.usage.empty == [0, 2]


async def test_nothing_but_empty_documents_needs_no_engine() -> None:
    bench = Bench()
    ranking = await bench.rank("", "", score="logit")
    assert [result.score for result in ranking.results] == [UNSCORED, UNSCORED]
    assert bench.engine.calls == []


async def test_identical_documents_are_computed_once() -> None:
    bench = Bench()
    ranking = await bench.rank("a b", "a", "a b", "a b")
    assert order(ranking) == [0, 2, 3, 1]
    assert bench.encoder.calls == [["a b", "a"]]
    assert ranking.usage.duplicates == 2
    assert ranking.usage.tokens == 3 * 3 + 2


async def test_a_known_score_is_not_computed_again_and_changes_nothing_else() -> None:
    bench = Bench()
    async with bench.open(cache_bytes=10_000) as reranker:
        first = await reranker.rank(query("a", "a b"))
        second = await reranker.rank(query("a b", "c", "a"))
    assert bench.encoder.calls == [["a", "a b"], ["c"]]
    assert second.usage.cached == 2
    assert order(second) == [0, 1, 2]
    assert first.results[0].score == second.results[0].score
    assert first.usage.tokens + 2 == second.usage.tokens


async def test_another_query_does_not_share_known_scores() -> None:
    bench = Bench()
    async with bench.open(cache_bytes=10_000) as reranker:
        await reranker.rank(query("a"))
        await reranker.rank(Query("another", [Document("a")]))
    assert bench.encoder.calls == [["a"], ["a"]]


async def test_what_was_cut_is_reported() -> None:
    ranking = await Bench().rank("word " * 200, "word", "word " * 99, "word " * 100)
    assert ranking.usage.truncated == [0, 3]


@pytest.mark.parametrize("cache_bytes", [0, 10_000], ids=["computed", "known"])
async def test_with_truncation_off_the_long_document_is_named(cache_bytes: int) -> None:
    bench = Bench()
    async with bench.open(cache_bytes=cache_bytes) as reranker:
        await reranker.rank(query("a", "word " * 200))
        with pytest.raises(TooLong, match=r"documents\[1\] takes 201 tokens .* the 100") as refusal:
            await reranker.rank(query("a", "word " * 200, truncate=False))
    assert (refusal.value.field, refusal.value.limit) == ("documents[1]", 100)


async def test_a_document_that_cannot_be_scored_comes_last_and_is_named() -> None:
    bench = Bench()
    bench.engine.poison = {3}
    ranking = await bench.rank("a b c", "a", "a b")
    assert order(ranking) == [2, 1, 0]
    assert ranking.usage.failed == [0]
    assert ranking.results[-1].score == 0.0


async def test_when_no_document_can_be_scored_the_request_fails() -> None:
    bench = Bench()
    bench.engine.error = RuntimeError("broken")
    with pytest.raises(ScoringFailed):
        await bench.rank("a", "b")


async def test_a_document_that_cannot_be_scored_fails_alone_each_time_it_is_asked_for() -> None:
    bench = Bench()
    bench.engine.poison = {2}
    async with bench.open(cache_bytes=10_000) as reranker:
        rankings = [await reranker.rank(query("good", "poison it")) for _ in range(3)]
    assert [order(ranking) for ranking in rankings] == [[0, 1]] * 3
    assert [ranking.usage.failed for ranking in rankings] == [[1]] * 3


async def test_requests_that_share_a_document_which_cannot_be_scored_all_get_the_rest() -> None:
    bench = Bench()
    bench.engine.poison = {2}
    async with bench.open(cache_bytes=10_000) as reranker:
        asked = (reranker.rank(query("good", "poison it")) for _ in range(3))
        rankings = await asyncio.gather(*asked)
    assert [ranking.usage.failed for ranking in rankings] == [[1]] * 3


async def test_a_time_limit_ends_the_wait() -> None:
    bench = Bench()
    bench.engine.seconds = 5
    with pytest.raises(DeadlineExceeded, match="within 50 ms"):
        await bench.rank("a", timeout=0.05)


async def test_a_caller_may_shorten_the_time_limit_but_not_lengthen_it() -> None:
    bench = Bench()
    bench.engine.seconds = 5
    async with bench.open(limit=0.05) as reranker:
        with pytest.raises(DeadlineExceeded, match="within 50 ms"):
            await reranker.rank(query("a", timeout=60))


async def test_an_instruction_that_the_model_cannot_take_is_ignored_aloud() -> None:
    ranking = await Bench().rank("a", instruction="be strict")
    assert ranking.warnings == ("model words takes no instruction: it was ignored",)


async def test_each_ranking_is_told_to_the_observer() -> None:
    bench = Bench()
    ranking = await bench.rank("a")
    assert bench.seen == [ranking]


@pytest.mark.parametrize(
    ("logit", "expected"), [(0, 0.5), (1000, 1.0), (-1000, 0.0), (2, 0.880797)]
)
def test_a_probability_is_the_sigmoid_at_any_logit(logit: float, expected: float) -> None:
    assert probability(logit) == pytest.approx(expected)


async def test_a_request_is_tokenized_while_another_is_computed() -> None:
    bench = Bench()
    computing, release, tokenized = asyncio.Event(), asyncio.Event(), threading.Event()

    async def score(pairs: Sequence[Pair]) -> Sequence[float]:
        computing.set()
        await release.wait()
        return [0.0] * len(pairs)

    class TellingEncoder(WordEncoder):
        def encode(self, *given: Any, **named: Any) -> list[Encoded]:
            tokenized.set()
            return super().encode(*given, **named)

    bench.engine.score = score  # type: ignore[method-assign]
    async with bench.open() as reranker:
        first = asyncio.create_task(reranker.rank(query("a")))
        await computing.wait()
        reranker._encoder = TellingEncoder()
        second = asyncio.create_task(reranker.rank(query("b")))
        assert await asyncio.to_thread(tokenized.wait, 10)
        assert not first.done()
        release.set()
        await asyncio.gather(first, second)


LARGE = [letter * 40_000 for letter in "xyz"]  # more than a portion, any two


class Held(WordEncoder):
    """Tokenizes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def encode(self, *given: Any, **named: Any) -> list[Encoded]:
        assert self.go.wait(10)
        return super().encode(*given, **named)


async def test_a_small_request_is_tokenized_between_the_portions_of_a_large_one() -> None:
    bench = Bench()
    bench.encoder = held = Held()
    async with bench.open() as reranker:
        large = asyncio.create_task(reranker.rank(query(*LARGE, "a b")))
        small = asyncio.create_task(reranker.rank(query("a")))
        await asyncio.sleep(0)  # both have begun
        held.go.set()
        ranking, _ = await asyncio.gather(large, small)
    assert held.calls == [LARGE[:1], ["a"], LARGE[1:2], [LARGE[2], "a b"]]
    assert order(ranking) == [3, 0, 1, 2]


async def test_nothing_more_is_tokenized_for_a_caller_that_has_gone() -> None:
    bench = Bench()
    bench.encoder = held = Held()
    async with bench.open() as reranker:
        large = asyncio.create_task(reranker.rank(query(*LARGE)))
        await asyncio.sleep(0)  # it has begun
        large.cancel()
        held.go.set()
        await reranker.rank(query("a"))
    assert held.calls == [LARGE[:1], ["a"]]
    with pytest.raises(asyncio.CancelledError):
        await large


@given(st.lists(st.integers(0, 100_000)), st.integers(0, 20_000))
def test_portions_hold_every_text_once_and_no_more_than_they_may(
    lengths: list[int], around: int
) -> None:
    texts = ["x" * length for length in lengths]
    found = list(portions(texts, around))
    assert [text for portion in found for text in portion] == texts
    for portion in found:
        assert len(portion) <= 1 or sum(around + len(text) for text in portion) <= PORTION


async def test_the_best_window_of_a_long_document_counts() -> None:
    """A window scores by its words, so the fullest one counts, and each is paid for."""
    bench = Bench()
    long = "word " * 250
    ranking = await bench.rank("a b", long, score="logit", windows=9)
    assert order(ranking) == [1, 0]
    assert 60 < ranking.results[0].score < 99
    assert ranking.usage.tokens > 250
    assert ranking.usage.truncated == []


async def test_windows_beyond_the_number_asked_for_are_cut_and_reported() -> None:
    ranking = await Bench().rank("word " * 900, "a", windows=2)
    assert ranking.usage.truncated == [0]
    assert ranking.usage.tokens < 205


@pytest.mark.parametrize(("cut", "first"), [("left", 1), ("right", 0)])
async def test_windows_beyond_the_number_asked_for_are_cut_on_the_side_asked_for(
    cut: Side, first: int
) -> None:
    """Of the two long documents one is dense, in words, at its beginning, the other at its end."""
    dense, sparse = "word " * 150, "w" * 8000
    ranking = await Bench().rank(f"{dense} {sparse}", f"{sparse} {dense}", windows=1, cut=cut)
    assert order(ranking)[0] == first


async def test_a_document_read_in_windows_is_not_too_long() -> None:
    assert order(await Bench().rank("a", "word " * 200, truncate=False, windows=9)) == [1, 0]


async def test_known_scores_are_kept_apart_by_how_a_document_was_read() -> None:
    bench = Bench()
    long = "word " * 250
    async with bench.open(cache_bytes=10_000) as reranker:
        cut = await reranker.rank(query(long))
        whole = await reranker.rank(query(long, windows=9))
        again = await reranker.rank(query(long, windows=9))
    assert cut.usage.truncated == [0]
    assert whole.usage.truncated == again.usage.truncated == []
    assert (whole.usage.cached, again.usage.cached) == (0, 1)
    assert again.usage.tokens == whole.usage.tokens


async def test_a_caller_may_shorten_each_document() -> None:
    bench = Bench()
    ranking = await bench.rank("word " * 50, "a b", score="logit", document_tokens=20)
    assert [result.score for result in ranking.results] == [20, 2]
    assert ranking.usage.truncated == [0]


async def test_what_is_being_computed_for_another_request_is_not_computed_again() -> None:
    bench = Bench()
    async with bench.open(cache_bytes=10_000) as reranker:
        asked = [query("a", "a b", "a b c"), query("a b c", "a b", "a")]
        rankings = await asyncio.gather(*map(reranker.rank, asked))
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
