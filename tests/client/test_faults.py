"""Failures on the way, with a handler in the place of the network and a clock that jumps."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from rerankd.client import (
    ClientTimeout,
    ConnectionFailed,
    InvalidInput,
    InvalidRequest,
    Overloaded,
    ServiceError,
    ServiceTimeout,
    Unavailable,
    UnreadableResponse,
)
from tests.client.callers import opened
from tests.client.script import (
    EXACT,
    LOST,
    NO_CONNECTION,
    Reply,
    Script,
    attempt,
    problem,
    ranks,
    rerank,
    stream,
)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500", "Retry-After": "2"}, 1.5),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "0"}, 0.0),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_hint_is_waited_for(
    kind: str, status: int, headers: dict[str, str], seconds: float
) -> None:
    script = Script(problem(status, "overloaded", headers), ranks)
    assert len(rerank(kind, script, retries=EXACT).results) == 3
    assert script.times == [0.0, seconds]


def test_a_hint_is_never_shortened_and_spread_a_little(kind: str) -> None:
    script = Script(problem(429, "overloaded", {"Retry-After": "4"}), ranks)
    rerank(kind, script)
    assert 4.0 <= script.times[1] <= 5.0


def test_without_a_hint_the_waits_grow(kind: str) -> None:
    script = Script(problem(503, "loading"))
    with pytest.raises(Unavailable) as raised:
        rerank(kind, script)
    assert raised.value.type == "loading"
    waits = [after - before for before, after in zip(script.times, script.times[1:], strict=False)]
    assert len(waits) == 3
    for wait, longest in zip(waits, [0.25, 0.5, 1.0], strict=True):
        assert longest / 2 <= wait + 0.001
        assert wait <= longest + 0.001


def test_a_hint_beyond_the_bound_is_an_error_at_once_that_has_it(kind: str) -> None:
    script = Script(problem(429, "upstream_busy", {"Retry-After": "31"}))
    with pytest.raises(Overloaded) as raised:
        rerank(kind, script)
    assert raised.value.retry_after == 31.0
    assert script.times == [0.0]


def test_a_wait_that_ends_after_the_time_limit_is_not_begun(kind: str) -> None:
    script = Script(problem(429, "overloaded", {"Retry-After": "3"}))
    with pytest.raises(Overloaded):
        rerank(kind, script, timeout=7.0, retries=EXACT)
    assert script.times == [0.0, 3.0, 6.0]


def test_the_service_is_given_the_time_that_is_left(kind: str) -> None:
    script = Script(problem(429, "overloaded", {"Retry-After": "6"}), ranks)
    rerank(kind, script, retries=EXACT, timeout=60.0, call={"timeout": 10.0})
    assert [body["timeout_ms"] for body in script.bodies] == [9500, 3800]


def test_without_retries_the_first_failure_is_the_error(kind: str) -> None:
    script = Script(problem(503, "draining", {"Retry-After": "1"}), ranks)
    with pytest.raises(Unavailable):
        rerank(kind, script, retries=0)
    assert len(script.times) == 1


@pytest.mark.parametrize(
    "failure", [NO_CONNECTION, LOST, httpx.RemoteProtocolError("gone"), httpx.ConnectTimeout("")]
)
def test_a_failed_connection_is_tried_again_for_a_ranking(kind: str, failure: Exception) -> None:
    assert len(rerank(kind, Script(failure, failure, ranks)).results) == 3


def test_a_connection_that_always_fails_is_an_error_of_its_own(kind: str) -> None:
    script = Script(NO_CONNECTION)
    with pytest.raises(ConnectionFailed, match="refused"):
        rerank(kind, script)
    assert len(script.times) == 4


def test_a_question_whose_connection_broke_is_not_asked_again(kind: str) -> None:
    script = Script(LOST)
    with pytest.raises(ConnectionFailed):
        attempt(kind, script, "answer", "q")
    with pytest.raises(ConnectionFailed):
        stream(kind, script)
    assert len(script.times) == 2


def test_a_question_that_was_never_sent_is_asked_again(kind: str) -> None:
    script = Script(NO_CONNECTION, problem(404, "no_store"))
    with pytest.raises(ServiceError):
        attempt(kind, script, "answer", "q")
    assert len(script.times) == 2


@pytest.mark.parametrize("status", [400, 401, 404, 422, 500, 502, 504, 507])
def test_other_errors_of_the_service_are_not_tried_again(kind: str, status: int) -> None:
    script = Script(problem(status, "some_type", field="query", limit=3))
    with pytest.raises(ServiceError) as raised:
        rerank(kind, script)
    error = raised.value
    assert len(script.times) == 1
    assert (error.status, error.type, error.detail) == (status, "some_type", "no")
    assert (error.field, error.limit, error.request_id) == ("query", 3, "r1")


def test_a_balancer_without_a_service_is_tried_again(kind: str) -> None:
    script = Script(httpx.Response(502, text="<h1>Bad Gateway</h1>"), ranks)
    assert len(rerank(kind, script).results) == 3


def test_what_a_balancer_says_is_the_detail(kind: str) -> None:
    script = Script(httpx.Response(413, text="<h1>too large</h1>"))
    with pytest.raises(InvalidRequest, match="<h1>too large</h1>") as raised:
        attempt(kind, script, "rerank", "q", ["a"])
    assert raised.value.type is None


@pytest.mark.parametrize("failure", [httpx.ReadTimeout(""), problem(504, "deadline")])
def test_both_time_limits_are_a_timeout_error(kind: str, failure: Reply) -> None:
    with pytest.raises(TimeoutError) as raised:
        rerank(kind, Script(failure))
    assert isinstance(raised.value, ClientTimeout | ServiceTimeout)


def junk(_: httpx.Request) -> httpx.Response:
    stream = httpx.ByteStream(b"junk")
    return httpx.Response(200, stream=stream, headers={"Content-Encoding": "gzip"})


@pytest.mark.parametrize(
    "reply",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"results": []}),
        httpx.Response(307, headers={"Location": "/"}),
        junk,
    ],
)
def test_what_is_no_answer_is_an_error(kind: str, reply: Reply) -> None:
    with pytest.raises((UnreadableResponse, ServiceError)):
        rerank(kind, Script(reply))


@pytest.mark.parametrize("indices", [[0, 0], [3], [-1]])
def test_an_index_that_cannot_be_is_unreadable(kind: str, indices: list[int]) -> None:
    results = [{"index": index, "relevance_score": 1.0} for index in indices]
    with pytest.raises(UnreadableResponse):
        rerank(kind, Script(lambda request: ranks(request, results=results)))


# --- streams ------------------------------------------------------------------------------


def events(*pairs: tuple[str, Any]) -> bytes:
    return b"".join(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode() for name, data in pairs)


def sse(raw: bytes) -> Reply:
    return httpx.Response(200, content=raw, headers={"Content-Type": "text/event-stream"})


BEGUN = [("sources", {"id": "1", "sources": []}), ("text", {"text": "half"})]


def test_a_stream_that_ends_early_is_a_broken_connection(kind: str) -> None:
    with pytest.raises(ConnectionFailed, match="before the answer"):
        stream(kind, Script(sse(events(*BEGUN))))


def test_an_error_within_a_stream_has_its_own_status(kind: str) -> None:
    error = ("error", {"type": "deadline", "status": 504, "detail": "late", "request_id": "r9"})
    with pytest.raises(ServiceTimeout) as raised:
        stream(kind, Script(sse(events(*BEGUN, error))))
    assert (raised.value.type, raised.value.request_id) == ("deadline", "r9")


def test_a_response_that_is_no_stream_is_unreadable(kind: str) -> None:
    with pytest.raises(UnreadableResponse, match="not a stream"):
        stream(kind, Script(httpx.Response(200, json={})))


def test_a_refusal_before_a_stream_is_tried_again(kind: str) -> None:
    script = Script(problem(429, "overloaded", {"Retry-After": "1"}), sse(events(*BEGUN)))
    with pytest.raises(ConnectionFailed):
        stream(kind, script, retries=EXACT)
    assert script.times == [0.0, 1.0]


# --- arguments ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("documents", "options", "field"),
    [
        ("one text", {}, "documents"),
        (["a", 3], {}, r"documents\[1\]"),
        ([{"body": "a"}], {}, r"documents\[0\]"),
        (["\ud800"], {}, "UTF-8"),
        (["a"], {"topn": 3}, "topn: no such option; available: diagnostics"),
        (["a"], {"timeout": 0}, "timeout"),
        (["a"], {"min_score": float("nan")}, "JSON"),
    ],
)
def test_arguments_that_cannot_be_sent_are_named_and_nothing_is_sent(
    kind: str, documents: Any, options: dict[str, Any], field: str
) -> None:
    script = Script(ranks)
    with pytest.raises(InvalidInput, match=field):
        attempt(kind, script, "rerank", "q", documents, call=options)
    assert script.requests == []


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"url": "service:8000"}, "url"),
        ({"url": "ftp://service"}, "url"),
        ({"api_key": "schlüssel"}, "api_key"),
        ({"timeout": 0.0}, "timeout"),
        ({"retries": -1}, "retries"),
    ],
)
def test_settings_that_cannot_be_used_are_named(
    kind: str, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput, match=field), opened(kind, **options):
        pass


def test_the_key_and_the_path_below_a_prefix_are_sent(kind: str) -> None:
    script = Script(ranks)
    rerank(kind, script, url="http://host/prefix/", api_key="k", headers={"X-Team": "t"})
    (request,) = script.requests
    assert str(request.url) == "http://host/prefix/rerank"
    assert request.headers["authorization"] == "Bearer k"
    assert request.headers["x-team"] == "t"
    assert request.headers["user-agent"].startswith("rerankd-client/")
