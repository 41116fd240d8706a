"""How documents are read: tokenized in portions, cut, and in windows."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engines import Encoded, Pair
from app.rerank.turns import PORTION_CHARS, portions
from app.text import Side
from tests.fakes import WordEncoder
from tests.rerank.bench import Bench, order, query

pytestmark = pytest.mark.anyio


async def test_a_request_is_tokenized_while_another_is_computed() -> None:
    bench = Bench()
    computing, release, tokenized = asyncio.Event(), asyncio.Event(), threading.Event()

    async def score(pairs: Sequence[Pair]) -> Sequence[float]:
        computing.set()
        await release.wait()
        return [0.0] * len(pairs)

    class TellingEncoder(WordEncoder):
        def encode(self, *arguments: Any, **named: Any) -> list[Encoded]:
            tokenized.set()
            return super().encode(*arguments, **named)

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

    def encode(self, *arguments: Any, **named: Any) -> list[Encoded]:
        assert self.go.wait(10)
        return super().encode(*arguments, **named)


async def test_a_small_request_is_tokenized_between_the_portions_of_a_large_one() -> None:
    bench = Bench()
    bench.encoder = held = Held()
    async with bench.open() as reranker:
        # By its size it would fall due some milliseconds later, and by its priority it does.
        large = asyncio.create_task(reranker.rank(query(*LARGE, "a b", priority=9)))
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
    portion_texts = [portion.texts for portion in portions(texts, around, most=100)]
    assert [text for portion in portion_texts for text in portion] == texts
    for portion in portion_texts:
        assert len(portion) <= 1 or sum(around + len(text) for text in portion) <= PORTION_CHARS


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
