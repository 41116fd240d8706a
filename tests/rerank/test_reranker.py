from __future__ import annotations

import asyncio

import pytest

from app.errors import DeadlineExceeded, ScoringFailed, TooLong
from app.rerank.query import UNSCORED, Document, Query, SpansWanted, probability
from app.rerank.ranking import ranked
from tests.rerank.bench import Bench, order, query

pytestmark = pytest.mark.anyio


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
        calls = (reranker.rank(query("good", "poison it")) for _ in range(3))
        rankings = await asyncio.gather(*calls)
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
    assert ranking.warnings == ["model words takes no instruction: it was ignored"]


async def test_each_warning_is_told_beside_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.rerank.spans.MAX_SENTENCES", 1)
    ranking = await Bench().rank("One. Two.", instruction="be strict", spans=SpansWanted(0))
    assert len(ranking.warnings) == 2


async def test_each_ranking_is_told_to_the_observer() -> None:
    bench = Bench()
    ranking = await bench.rank("a")
    assert bench.events == [ranked(ranking)]


@pytest.mark.parametrize(
    ("logit", "expected"), [(0, 0.5), (1000, 1.0), (-1000, 0.0), (2, 0.880797)]
)
def test_a_probability_is_the_sigmoid_at_any_logit(logit: float, expected: float) -> None:
    assert probability(logit) == pytest.approx(expected)
