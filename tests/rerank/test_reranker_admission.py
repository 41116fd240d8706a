"""What is refused before it costs anything, and what of a text is read at all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from app.engines import Encoded, Pair
from app.errors import DeadlineExceeded, InvalidRequest, QueueFull, TooLong
from app.rerank.batcher import Batcher
from app.rerank.query import Query, SpansWanted
from app.rerank.reranker import Reranker
from tests.fakes import WordEncoder
from tests.rerank.bench import Bench, order, query

pytestmark = pytest.mark.anyio


class Clipping(WordEncoder):
    """Never counts more words than one more than it takes, when it may clip."""

    def __init__(self) -> None:
        super().__init__()
        self.clips: list[bool] = []

    def encode(self, *arguments: Any, clip: bool = False, **named: Any) -> list[Encoded]:
        self.clips.append(clip)
        encoded = super().encode(*arguments, **named)
        if not clip:
            return encoded
        most = self.max_tokens + 1
        return [text._replace(whole=min(text.whole, most)) for text in encoded]


def clipping() -> tuple[Bench, Clipping]:
    bench, encoder = Bench(), Clipping()
    bench.encoder = encoder
    return bench, encoder


@pytest.mark.parametrize(
    ("options", "clip"),
    [
        ({}, True),
        ({"cut": "left"}, True),
        ({"document_tokens": 5}, True),
        ({"windows": 9}, False),
        ({"truncate": False}, False),
    ],
)
async def test_a_text_is_read_to_its_end_only_where_its_length_counts(
    options: dict[str, Any], clip: bool
) -> None:
    bench, encoder = clipping()
    await bench.rank("a b", **options)
    assert encoder.clips == [clip]


async def test_a_length_that_was_not_counted_is_not_told_from_the_cache() -> None:
    bench, encoder = clipping()
    async with bench.open(cache_bytes=10_000) as reranker:
        first = await reranker.rank(query("a", "word " * 200))
        assert first.usage.truncated == [1]
        with pytest.raises(TooLong, match=r"documents\[1\] takes 201 tokens"):
            await reranker.rank(query("a", "word " * 200, truncate=False))
        again = await reranker.rank(query("a", "word " * 200))
    assert again.usage.cached == 2
    assert encoder.clips == [True, False]


async def test_what_the_engines_queue_would_make_late_is_refused_before_it_is_tokenized() -> None:
    bench, computing = Bench(), asyncio.Event()
    own = bench.engine.score

    async def score(pairs: Sequence[Pair]) -> Sequence[float]:
        computing.set()
        return await own(pairs)

    bench.engine.score = score  # type: ignore[method-assign]
    bench.engine.seconds = 0.2
    async with bench.open() as reranker:
        await reranker.rank(query("a"))  # so that the pace is known
        computing.clear()
        running = asyncio.create_task(reranker.rank(query("b c d e f g")))
        await computing.wait()
        tokenized = len(bench.encoder.calls)
        with pytest.raises(QueueFull, match="left of the limit"):
            await reranker.rank(query("c", timeout=0.05))
        assert len(bench.encoder.calls) == tokenized
        await running


async def test_a_limit_that_has_passed_is_not_taken_for_none() -> None:
    """/answer gives what is left of its own time, which may be nothing."""
    with pytest.raises(DeadlineExceeded, match="within 0 ms"):
        await Bench().rank("a", timeout=0.0)


async def test_a_guess_that_is_too_high_refuses_nobody_for_good() -> None:
    """One word of fifty thousand letters: by its characters it is more than may wait."""
    bench = Bench()
    bench.encoder = WordEncoder(max_tokens=20_000)
    assert order(await bench.rank("x" * 50_000, "a b")) == [1, 0]


async def test_what_certainly_never_fits_is_refused_before_it_is_tokenized() -> None:
    bench = Bench()
    bench.encoder = WordEncoder(max_tokens=20_000)
    with pytest.raises(InvalidRequest, match="queue accepts at most 10000"):
        await bench.rank("x" * 200_000)
    assert bench.encoder.calls == []


async def test_windows_are_weighed_as_what_they_hold() -> None:
    bench = Bench()
    with pytest.raises(InvalidRequest, match="queue accepts at most 10000"):
        await bench.rank("word " * 30_000, windows=256)
    assert bench.encoder.calls == []


async def test_of_windows_that_failed_in_part_nothing_is_remembered() -> None:
    bench = Bench()
    long = "word " * 250
    async with bench.open(cache_bytes=10_000) as reranker:
        whole = await bench_windows(bench, reranker, long, poison=set())
        best = round(whole.logits[0])
        partly = await bench_windows(bench, reranker, f"{long} ", poison={best})
        assert partly.logits[0] < whole.logits[0]
        again = await bench_windows(bench, reranker, f"{long} ", poison=set())
    assert again.logits == whole.logits


async def bench_windows(bench: Bench, reranker: Reranker, text: str, poison: set[int]) -> Any:
    bench.engine.poison = poison
    return await reranker.rank(query(text, windows=9))


SENTENCES = " ".join(f"Sentence {number} here." for number in range(400))


async def test_sentences_are_chosen_within_what_the_queue_accepts_and_the_rest_is_named() -> None:
    """Each takes the query once more: 400 sentences of 103 words do not fit 10,000 tokens."""
    bench = Bench()
    bench.encoder = WordEncoder(max_tokens=500)
    question = Query("word " * 100, query("One. Two.", SENTENCES, "Three.").documents)
    async with bench.open() as reranker:
        ranking = await reranker.rank(
            Query(question.text, question.documents, spans=SpansWanted(0), score="logit")
        )
    assert order(ranking)[0] == 1
    assert 90 < len(ranking.spans[1]) < 100
    (warning,) = ranking.warnings
    assert "documents[0], documents[1], documents[2]" in warning


async def test_sentences_that_fit_are_all_scored_and_nothing_is_warned_of() -> None:
    ranking = await Bench().rank("One. Two.", "Three.", spans=SpansWanted(0))
    assert [len(ranking.spans[index]) for index in (0, 1)] == [2, 1]
    assert ranking.warnings == []


async def test_room_for_sentences_is_held_from_the_start() -> None:
    """Else the ranking is computed, and then refused for its sentences."""
    bench = Bench()
    bench.engine.seconds = 0.1
    async with bench.open() as reranker:
        first = asyncio.create_task(reranker.rank(query(SENTENCES, spans=SpansWanted(0))))
        await asyncio.sleep(0.01)
        batcher = reranker._batcher
        assert isinstance(batcher, Batcher)
        assert batcher._expected > 1000
        ranking = await first
        assert batcher._expected == 0
    assert ranking.warnings == []
