"""Faults and limits of a reranker elsewhere; that it ranks at all is seen in tests/live."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from app.errors import (
    DeadlineExceeded,
    InvalidRequest,
    LoopDetected,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamTimeout,
)
from app.rerank.query import UNSCORED, Document, Query, Ranking, SpansAsked, probability
from app.settings.delegating import HOSTED
from app.upstream.reranking import AT_ONCE, Remote, open_client
from app.upstream.wires import WIRES, find_target
from tests.virtual_time import in_virtual_time, now

NAMES = {"cohere": "cohere:m", "jina": "jina:m", "voyage": "voyage:m", "rerankd": "http://there"}
EVERY = pytest.mark.parametrize("api", list(NAMES))


class Service:
    """Scores a text by its length, in hundredths; `before` may answer first, each entry once."""

    def __init__(self) -> None:
        self.before: list[httpx.Response] = []
        self.seconds = 0.0
        self.bodies: list[dict[str, Any]] = []
        self.calls: list[tuple[str, float]] = []
        self.outcomes: list[tuple[str, str, float]] = []
        self.seen: list[Ranking] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.calls.append((str(request.url), now()))
        await asyncio.sleep(self.seconds)
        if self.before:
            return self.before.pop(0)
        body = json.loads(request.content)
        self.bodies.append(body)
        scores = [
            {"index": index, "relevance_score": len(text) / 100}
            for index, text in enumerate(body["documents"])
        ]
        return httpx.Response(200, json=answer(scores))

    async def rank(self, api: str, *texts: str, limit: Any = 10, **asked: Any) -> Ranking:
        query = Query("q", [Document(text) for text in texts], **asked)
        target = find_target(NAMES[api])
        transport = httpx.MockTransport(self)
        async with httpx.AsyncClient(transport=transport, base_url=target.url) as client:
            observe_call = lambda *event: self.outcomes.append(event)  # noqa: E731
            return await Remote(target, client, limit, self.seen.append, observe_call).rank(query)


def answer(scores: Any, tokens: int = 7) -> dict[str, Any]:
    """What all of them read."""
    return {
        "results": scores,
        "data": scores,
        "usage": {"total_tokens": tokens},
        "meta": {"tokens": {"input_tokens": tokens}},
    }


def order(ranking: Ranking) -> list[int]:
    return [result.index for result in ranking.results]


def test_each_api_that_a_setting_may_name_is_spoken() -> None:
    assert set(WIRES) == {*HOSTED, "rerankd"} == set(NAMES)


@EVERY
def test_the_order_is_that_of_the_service_and_it_is_named(api: str) -> None:
    @in_virtual_time
    async def test() -> None:
        service = Service()
        ranking = await service.rank(api, "a", "a b c", "a b")
        assert order(ranking) == [1, 2, 0]
        assert ranking.usage.tokens == 7
        assert ranking.by == ranking.model == ("rerankd" if api == "rerankd" else f"{api}:m")
        assert service.seen == [ranking]
        assert [outcome for _, outcome, _ in service.outcomes] == ["ok"]

    test()


@in_virtual_time
async def test_probabilities_stay_as_they_are_and_logits_are_their_log_odds() -> None:
    plain = await Service().rank("cohere", "a", "a b c")
    assert [result.score for result in plain.results] == [0.05, 0.01]
    assert plain.warnings == []
    asked = await Service().rank("cohere", "a", "a b c", score="logit")
    assert [probability(result.score) for result in asked.results] == pytest.approx([0.05, 0.01])
    assert asked.warnings == ["cohere:m gives probabilities: logits are their log-odds"]


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
    assert [(one.index, one.score) for one in ranking.results] == [(1, 1.0), (2, 0.0), (0, 0.0)]


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
async def test_nothing_is_asked_about_nothing() -> None:
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
    service, target = Service(), find_target("cohere:m")
    service.seconds = 1
    transport = httpx.MockTransport(service)
    async with httpx.AsyncClient(transport=transport, base_url=target.url) as client:
        remote = Remote(target, client, 10)
        queries = [Query("q", [Document(f"a{number}")]) for number in range(2 * AT_ONCE + 1)]
        rankings = await asyncio.gather(*map(remote.rank, queries))
    assert Counter(when for _, when in service.calls) == {0: AT_ONCE, 1: AT_ONCE, 2: 1}
    assert (rankings[-1].times.queue, rankings[-1].times.compute) == (2, 1)


@in_virtual_time
async def test_another_rerankd_is_told_what_it_understands() -> None:
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
async def test_what_another_rerankd_cut_and_warned_of_is_told() -> None:
    service = Service()
    told = answer([{"index": i, "relevance_score": 1.0} for i in (0, 1)])
    told["usage"]["truncated_documents"] = [1]
    service.before = [httpx.Response(200, json=told | {"warnings": ["so it is"]})]
    ranking = await service.rank("rerankd", "", "a", "b")
    assert ranking.usage.truncated == [2]
    assert ranking.warnings == ["so it is"]


@in_virtual_time
async def test_what_another_rerankd_could_not_score_comes_last_and_is_told() -> None:
    service = Service()
    scores = [{"index": i, "relevance_score": score} for i, score in ((1, 1.0), (0, UNSCORED))]
    service.before = [httpx.Response(200, json=answer(scores))]
    ranking = await service.rank("rerankd", "a", "b")
    assert [(one.index, one.score) for one in ranking.results] == [(1, probability(1)), (0, 0.0)]
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
        ({"spans": SpansAsked(0.1)}, "relevant_spans"),
        ({"truncate": False}, "truncate"),
    ],
)
def test_what_would_be_answered_wrongly_is_refused_unasked(
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


@in_virtual_time
async def test_a_refusal_for_now_is_tried_again_when_it_says() -> None:
    service = Service()
    service.before = [httpx.Response(429, headers={"Retry-After": "3"})]
    assert order(await service.rank("cohere", "a")) == [0]
    assert [when for _, when in service.calls] == [0, 3]
    assert service.outcomes == [("cohere", "ok", 3)]


@in_virtual_time
async def test_a_refusal_beyond_the_caller_s_time_is_passed_on_at_once() -> None:
    service = Service()
    service.before = [httpx.Response(429, headers={"Retry-After": "30"})]
    with pytest.raises(UpstreamBusy, match="cohere takes no more requests for now") as caught:
        await service.rank("cohere", "a", timeout=5)
    assert (caught.value.retry_after, now()) == (30, 0)
    assert service.outcomes == [("cohere", "busy", 0)]


@in_virtual_time
async def test_a_refusal_that_does_not_say_when_is_passed_on_with_one_second() -> None:
    service = Service()
    service.before = [httpx.Response(429)] * 3
    with pytest.raises(UpstreamBusy) as caught:
        await service.rank("jina", "a", limit=60)
    assert caught.value.retry_after == 1.0


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (401, "cohere answered 401: check RERANKD_UPSTREAM_API_KEY"),
        (403, "cohere answered 403: check RERANKD_UPSTREAM_API_KEY"),
        (404, "cohere answered 404: check the model's name and the address"),
        (400, "cohere answered 400"),
        (302, "cohere answered 302"),
    ],
)
def test_a_refusal_for_good_names_the_setting_and_is_not_repeated(status: int, says: str) -> None:
    @in_virtual_time
    async def test() -> None:
        service = Service()
        service.before = [httpx.Response(status, text="query q is secret")]
        with pytest.raises(UpstreamFailed) as caught:
            await service.rank("cohere", "a")
        assert (str(caught.value), len(service.calls)) == (says, 1)
        assert [outcome for _, outcome, _ in service.outcomes] == ["failed"]

    test()


JUNK = {
    "no JSON": b"<html>",
    "another shape": b'{"ok": true}',
    "too few": json.dumps(answer([{"index": 0, "relevance_score": 0.5}])).encode(),
    "one twice": json.dumps(answer([{"index": 0, "relevance_score": 0.5}] * 2)).encode(),
    "out of range": json.dumps(
        answer([{"index": i, "relevance_score": 0.5} for i in (1, 2)])
    ).encode(),
    "below range": json.dumps(
        answer([{"index": i, "relevance_score": 0.5} for i in (-1, 0)])
    ).encode(),
    "not a number": json.dumps(
        answer([{"index": i, "relevance_score": float("nan")} for i in (0, 1)])
    ).encode(),
    "no score": json.dumps(
        answer([{"index": i, "relevance_score": None} for i in (0, 1)])
    ).encode(),
}


@EVERY
@pytest.mark.parametrize("kind", list(JUNK))
def test_junk_is_a_failure_of_the_service(api: str, kind: str) -> None:
    @in_virtual_time
    async def test() -> None:
        service = Service()
        service.before = [httpx.Response(200, content=JUNK[kind])]
        with pytest.raises(UpstreamFailed, match=rf"^{api} (sent what is not|did not give)"):
            await service.rank(api, "a", "b")
        assert [outcome for _, outcome, _ in service.outcomes] == ["failed"]

    test()


@pytest.mark.parametrize(("limit", "timeout"), [(10, 1.5), (1.5, 60), (1.5, None)])
def test_the_shorter_of_the_caller_s_and_our_own_time_limit_ends_it_all(
    limit: float, timeout: float | None
) -> None:
    @in_virtual_time
    async def test() -> None:
        service = Service()
        service.seconds = 20
        with pytest.raises(DeadlineExceeded, match="not answered within 1500 ms"):
            await service.rank("voyage", "a", limit=limit, timeout=timeout)
        assert now() == 1.5
        assert service.outcomes == [("voyage", "abandoned", 1.5)]

    test()


@in_virtual_time
async def test_the_time_limit_holds_over_all_tries_and_parts() -> None:
    service = Service()
    service.seconds = 2
    service.before = [httpx.Response(503, headers={"Retry-After": "1"})]
    with pytest.raises(DeadlineExceeded):
        await service.rank("cohere", *map(str, range(1500)), limit=6)
    assert [when for _, when in service.calls] == [0, 3, 5]
    assert now() == 6


@in_virtual_time
async def test_a_service_that_stays_down_is_a_failure_with_its_hint() -> None:
    service = Service()
    service.before = [httpx.Response(503, headers={"Retry-After": "2"})] * 3
    with pytest.raises(UpstreamFailed, match="jina answered 503") as caught:
        await service.rank("jina", "a")
    assert (caught.value.retry_after, len(service.calls), now()) == (2, 3, 4)


@in_virtual_time
async def test_a_read_that_times_out_is_not_the_caller_s_limit() -> None:
    def slow(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow")

    target = find_target("cohere:m")
    transport = httpx.MockTransport(slow)
    async with httpx.AsyncClient(transport=transport, base_url=target.url) as client:
        with pytest.raises(UpstreamTimeout, match="cohere did not answer in time"):
            await Remote(target, client, 10).rank(Query("q", [Document("a")]))


@pytest.mark.anyio
async def test_the_key_goes_to_the_address_that_was_named_and_is_never_shown() -> None:
    target = find_target("jina:m", "http://proxy/jina")
    async with open_client(target, SecretStr("hunter2"), 30) as client:
        assert str(client.base_url) == "http://proxy/jina/"
        assert client.headers["Authorization"] == "Bearer hunter2"
        assert (client.timeout.read, client.timeout.connect) == (30, 5)
        assert "hunter2" not in repr(client)
    async with open_client(find_target("http://there"), None, 2) as bare:
        assert "Authorization" not in bare.headers
        assert bare.timeout.connect == 2


@pytest.mark.parametrize(
    ("came", "mark", "goes"),
    [
        ((), "rerankd-b", "1.1 rerankd-b"),
        (("rerankd-a",), "rerankd-b", "1.1 rerankd-a, 1.1 rerankd-b"),
        ((), "", None),
    ],
)
def test_a_request_bears_the_marks_that_it_came_with_and_then_our_own(
    came: Sequence[str], mark: str, goes: str | None
) -> None:
    @in_virtual_time
    async def test() -> None:
        seen: list[str | None] = []

        def there(request: httpx.Request) -> httpx.Response:
            seen.append(request.headers.get("Via"))
            return httpx.Response(200, json=answer([{"index": 0, "relevance_score": 0.5}]))

        target, transport = find_target("cohere:m"), httpx.MockTransport(there)
        async with httpx.AsyncClient(transport=transport, base_url=target.url) as client:
            await Remote(target, client, 10, mark=mark).rank(Query("q", [Document("a")], via=came))
        assert seen == [goes]

    test()


@EVERY
def test_a_circle_is_told_with_the_settings_to_look_at_and_not_tried_again(api: str) -> None:
    @in_virtual_time
    async def test() -> None:
        service = Service()
        service.before = [httpx.Response(508, headers={"Retry-After": "1"})]
        with pytest.raises(LoopDetected, match=f"^{api} answered 508: look at RERANKD_MODEL"):
            await service.rank(api, "a")
        assert (len(service.calls), service.outcomes) == (1, [(api, "failed", 0)])

    test()
