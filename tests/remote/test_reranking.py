"""What a reranker elsewhere is sent, and what is made of its answers.

That it ranks at all is seen in tests/live.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from importlib import import_module
from typing import Any

import httpx
import pytest

from app.errors import InvalidRequest
from app.remote.providers import HOSTED, PROVIDERS, find_target
from app.remote.reranking import MAX_CONCURRENT_CALLS, Remote
from app.rerank.query import UNSCORED, Document, Query, SpansWanted, probability
from app.rerank.ranking import ranked
from tests.remote.service import EVERY, NAMES, Service, answer, order
from tests.virtual_time import in_virtual_time


def test_each_api_that_a_setting_may_name_is_spoken() -> None:
    assert set(PROVIDERS) == {*HOSTED, "rerankd"} == set(NAMES)


@pytest.mark.parametrize("name", list(PROVIDERS))
def test_the_constant_of_each_file_is_listed_under_the_name_of_the_file(name: str) -> None:
    assert import_module(f"app.remote.providers.{name}").PROVIDER is PROVIDERS[name]


def test_an_unknown_provider_is_an_error_that_lists_the_known_ones() -> None:
    sentence = "other:m names no known provider; known: cohere:MODEL, jina:MODEL, voyage:MODEL"
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        find_target("other:m")


@EVERY
def test_the_order_is_that_of_the_service_and_it_is_named(api: str) -> None:
    @in_virtual_time
    async def test() -> None:
        service = Service()
        ranking = await service.rank(api, "a", "a b c", "a b")
        assert order(ranking) == [1, 2, 0]
        assert ranking.usage.tokens == 7
        assert ranking.by == ranking.model == ("rerankd" if api == "rerankd" else f"{api}:m")
        assert ranked(ranking) in service.events
        assert [outcome for _, outcome, _ in service.outcomes] == ["ok"]

    test()


@in_virtual_time
async def test_probabilities_stay_as_they_are_and_logits_are_their_log_odds() -> None:
    plain = await Service().rank("cohere", "a", "a b c")
    assert [result.score for result in plain.results] == [0.05, 0.01]
    assert plain.warnings == []
    as_logits = await Service().rank("cohere", "a", "a b c", score="logit")
    assert [probability(result.score) for result in as_logits.results] == pytest.approx(
        [0.05, 0.01]
    )
    assert as_logits.warnings == ["cohere:m gives probabilities: logits are their log-odds"]


@in_virtual_time
async def test_logits_of_another_rerankd_are_logits() -> None:
    ranking = await Service().rank("rerankd", "a", "a b c", score="logit")
    assert [result.score for result in ranking.results] == [0.05, 0.01]
    plain = await Service().rank("rerankd", "a")
    assert plain.results[0].score == probability(0.01)


@in_virtual_time
async def test_a_score_beyond_0_and_1_keeps_its_rank_and_is_shown_within() -> None:
    service = Service()
    scores = [{"index": i, "relevance_score": score} for i, score in enumerate([-0.2, 1.5, -0.1])]
    service.before = [httpx.Response(200, json=answer(scores))]
    ranking = await service.rank("jina", "a", "b", "c")
    assert [(result.index, result.score) for result in ranking.results] == [
        (1, 1.0),
        (2, 0.0),
        (0, 0.0),
    ]


@EVERY
def test_empty_documents_are_not_sent_and_equal_ones_once(api: str) -> None:
    @in_virtual_time
    async def test() -> None:
        service = Service()
        ranking = await service.rank(api, " ", "abc", "a", "abc", "")
        assert [body["documents"] for body in service.bodies] == [["abc", "a"]]
        assert order(ranking) == [1, 3, 2, 0, 4]
        assert (ranking.usage.empty, ranking.usage.duplicates) == ([0, 4], 1)
        assert ranking.results[-1].score == 0.0
        assert ranking.logits[0] == UNSCORED

    test()


@in_virtual_time
async def test_without_texts_there_is_no_call() -> None:
    service = Service()
    await service.rank("cohere", "", " ")
    assert service.calls == []


@in_virtual_time
async def test_top_n_and_min_score_are_ours_to_keep() -> None:
    assert order(await Service().rank("voyage", "a", "abc", "ab", top_n=2)) == [1, 2]
    assert order(await Service().rank("voyage", "a", "abc", "ab", min_score=0.02)) == [1, 2]


@in_virtual_time
async def test_more_documents_than_one_request_takes_are_split_and_merged() -> None:
    service = Service()
    texts = ["x" * (length + 1) for length in range(2100)]
    ranking = await service.rank("rerankd", *texts)
    assert [len(body["documents"]) for body in service.bodies] == [1000, 1000, 100]
    assert order(ranking) == list(range(2099, -1, -1))
    assert ranking.usage.tokens == 21


@in_virtual_time
async def test_only_so_many_calls_are_made_at_once_and_the_others_wait_for_room() -> None:
    limit, service, target = MAX_CONCURRENT_CALLS, Service(), find_target("cohere:m")
    service.seconds = 1
    transport = httpx.MockTransport(service)
    async with httpx.AsyncClient(transport=transport, base_url=target.url) as client:
        remote = Remote(target, client, 10)
        queries = [Query("q", [Document(f"a{number}")]) for number in range(2 * limit + 1)]
        rankings = await asyncio.gather(*map(remote.rank, queries))
    assert Counter(when for _, when in service.calls) == {
        0: limit,
        1: limit,
        2: 1,
    }
    assert (rankings[-1].times.queue, rankings[-1].times.compute) == (2, 1)


@in_virtual_time
async def test_another_rerankd_gets_the_options_that_it_takes() -> None:
    service = Service()
    wishes: dict[str, Any] = {"instruction": "i", "cut": "left", "windows": 9, "priority": 3}
    ranking = await service.rank("rerankd", "a", limit=2, **wishes)
    (body,) = service.bodies
    assert {name: body[name] for name in ("instruction", "truncation_direction", "priority")} == {
        "instruction": "i",
        "truncation_direction": "left",
        "priority": 3,
    }
    assert (body["long_documents"], body["timeout_ms"], body["score"]) == ("windows", 2000, "logit")
    assert ranking.warnings == []


@in_virtual_time
async def test_what_another_rerankd_cut_and_warned_of_is_in_the_ranking() -> None:
    service = Service()
    body = answer([{"index": i, "relevance_score": 1.0} for i in (0, 1)])
    body["usage"]["truncated_documents"] = [1]
    service.before = [httpx.Response(200, json=body | {"warnings": ["so it is"]})]
    ranking = await service.rank("rerankd", "", "a", "b")
    assert ranking.usage.truncated == [2]
    assert ranking.warnings == ["so it is"]


@in_virtual_time
async def test_what_another_rerankd_could_not_score_comes_last_and_is_named() -> None:
    service = Service()
    scores = [{"index": i, "relevance_score": score} for i, score in ((1, 1.0), (0, UNSCORED))]
    service.before = [httpx.Response(200, json=answer(scores))]
    ranking = await service.rank("rerankd", "a", "b")
    assert [(result.index, result.score) for result in ranking.results] == [
        (1, probability(1)),
        (0, 0.0),
    ]
    assert ranking.usage.failed == [0]


@in_virtual_time
async def test_what_a_hosted_api_leaves_out_is_a_warning() -> None:
    wishes = {"instruction": "i", "cut": "left", "windows": 9, "document_tokens": 20}
    service = Service()
    ranking = await service.rank("cohere", "a", **wishes)
    assert service.bodies[0]["max_tokens_per_doc"] == 20
    assert ranking.warnings == [
        "cohere:m takes no instruction: it was ignored",
        "cohere:m cuts as it does: the side was ignored",
        "cohere:m reads long documents in its own way",
    ]


@EVERY
@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"score": "calibrated"}, "score"),
        ({"spans": SpansWanted(0.1)}, "relevant_spans"),
        ({"truncate": False}, "truncate"),
    ],
)
def test_what_would_get_a_wrong_answer_is_refused_without_a_call(
    api: str, wish: dict[str, Any], field: str
) -> None:
    @in_virtual_time
    async def test() -> None:
        service = Service()
        with pytest.raises(InvalidRequest, match=rf"^{field}: .* ranks here, and") as caught:
            await service.rank(api, "a", **wish)
        assert caught.value.field == field
        assert service.calls == []

    test()
