"""Documents that share little with the query are not scored. A text scores as many points as it
has words; here it resembles the query the more, the longer its first word is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from app.engines import Pair
from app.errors import TooLong
from app.events import Ranked
from app.rerank.prefilter import NO_PREFILTER, filled_texts
from app.rerank.query import UNSCORED, Document, Ranking
from tests.rerank.bench import Bench, order, query

pytestmark = pytest.mark.anyio


class Compared:
    """Says how alike pairs are; the bench's tokens are the words of a text."""

    def __init__(self, *alike: float) -> None:
        self.alike = alike
        self.pairs: list[int] = []

    def __call__(self, pairs: Sequence[Pair]) -> NDArray[np.floating]:
        self.pairs.append(len(pairs))
        return np.array(self.alike[: len(pairs)])


async def rank(bench: Bench, compared: Compared, *texts: str, **options: Any) -> Ranking:
    async with bench.open(compare=compared) as reranker:
        return await reranker.rank(query(*texts, **options))


async def test_only_the_most_similar_documents_are_scored() -> None:
    bench = Bench()
    texts = ("a", "a b c d", "a b", "a b c")
    ranking = await rank(bench, Compared(3, 0, 2, 1), *texts, prefilter=2, top_n=2)
    assert order(ranking) == [2, 0]
    assert ranking.logits == [1.0, UNSCORED, 2.0, UNSCORED]
    assert ranking.usage.unscored == 2
    assert ranking.usage.failed == []
    assert sum(len(batch) for batch in bench.engine.calls) == 2


async def test_the_indexes_are_those_of_the_request() -> None:
    texts = ("a", "a b c d", "a b", "a b c")
    ranking = await rank(Bench(), Compared(0, 3, 1, 2), *texts, prefilter=2, top_n=1, explain=True)
    assert order(ranking) == [1]
    assert list(ranking.readings) == [1]
    assert list(ranking.spans) == [1]
    assert len(ranking.query.documents) == 4


async def test_what_is_left_out_is_not_a_score_of_zero_in_the_metrics() -> None:
    bench = Bench()
    await rank(bench, Compared(1, 0), "a", "a b", prefilter=1, top_n=1)
    (event,) = [event for event in bench.events if isinstance(event, Ranked)]
    assert len(event.probabilities) == 1


@pytest.mark.parametrize("texts", [("a", "a b"), ("a", "a b", "a", "a b", "a")])
async def test_equal_texts_count_once(texts: Sequence[str]) -> None:
    compared = Compared(0, 1)
    ranking = await rank(Bench(), compared, *texts, prefilter=2, top_n=2)
    assert compared.pairs == []
    assert len([logit for logit in ranking.logits if logit != UNSCORED]) == len(texts)
    assert ranking.usage.unscored == 0


async def test_empty_documents_are_left_out_first() -> None:
    ranking = await rank(Bench(), Compared(0, 1, 2), "", "a", "b c", " ", "d e f", prefilter=2)
    assert order(ranking) == [4, 2]
    assert filled_texts([Document(""), Document(" \n"), Document("a"), Document("a")]) == ["a"]


async def test_nothing_but_empty_documents_is_ranked_as_without_a_prefilter() -> None:
    assert order(await rank(Bench(), Compared(), "", " ", prefilter=1)) == [0, 1]


async def test_what_is_chosen_does_not_depend_on_what_is_cached() -> None:
    bench = Bench()
    async with bench.open(cache_bytes=10_000, compare=Compared(0, 1)) as reranker:
        await reranker.rank(query("a b"))
        ranking = await reranker.rank(query("a b", "a", prefilter=1, top_n=1))
    assert order(ranking) == [1]


async def test_a_document_that_is_left_out_may_be_too_long() -> None:
    long = " ".join("x" * 600)
    ranking = await rank(Bench(), Compared(0, 1), long, "a", prefilter=1, truncate=False)
    assert order(ranking) == [1]
    with pytest.raises(TooLong):
        await rank(Bench(), Compared(1, 0), long, "a", prefilter=1, truncate=False)


async def test_a_model_without_a_prefilter_says_that_it_scored_all() -> None:
    ranking = await Bench().rank("a", "a b", prefilter=1, top_n=1)
    assert ranking.warnings == [f"model words {NO_PREFILTER}"]
    assert UNSCORED not in ranking.logits
