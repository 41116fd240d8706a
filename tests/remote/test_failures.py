"""Faults and limits of a reranker elsewhere."""

from __future__ import annotations

import json
from collections.abc import Sequence

import httpx
import pytest
from pydantic import SecretStr

from app.errors import (
    DeadlineExceeded,
    LoopDetected,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamTimeout,
)
from app.remote.providers import find_target
from app.remote.reranking import Remote, open_client
from app.rerank.query import Document, Query
from tests.remote.service import EVERY, Service, answer, order
from tests.virtual_time import in_virtual_time, now


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
def test_a_request_has_the_marks_that_it_came_with_and_then_our_own(
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
def test_a_circle_is_an_error_that_names_the_settings_and_is_not_tried_again(api: str) -> None:
    @in_virtual_time
    async def test() -> None:
        service = Service()
        service.before = [httpx.Response(508, headers={"Retry-After": "1"})]
        with pytest.raises(LoopDetected, match=f"^{api} answered 508: look at RERANKD_MODEL"):
            await service.rank(api, "a")
        assert (len(service.calls), service.outcomes) == (1, [(api, "failed", 0)])

    test()
