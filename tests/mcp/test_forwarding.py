"""`rerankd mcp` and the service behind it: what it asks, and what an agent reads when it fails."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

import httpx
import pytest
from mcp_types import CallToolResult, TextContent

from app.errors import InvalidRequest
from app.mcp.forwarding import UNEXPECTED, Forwarding, retry_text
from app.mcp.server import call
from app.mcp.tools import ANSWER, RERANK
from tests.mcp.test_tools import ANSWER_BODY, RERANK_BODY
from tests.virtual_time import in_virtual_time

NAME = "the service at http://here:8000"
ARGUMENTS = {"query": "q", "documents": ["a", "b"]}
Answers = Callable[[httpx.Request], httpx.Response]


def forwarding(answer: Answers) -> Forwarding:
    transport = httpx.MockTransport(answer)
    return Forwarding(httpx.AsyncClient(transport=transport, base_url="http://here:8000"), NAME)


def says(status: int, body: object, **headers: str) -> Answers:
    return lambda _: httpx.Response(status, json=body, headers=headers)


def problem(name: str, detail: str) -> dict[str, str]:
    return {"type": name, "detail": detail}


def text_of(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


async def refuses(answer: Answers) -> str:
    """The text that the agent reads."""
    result = await call(forwarding(answer), RERANK, ARGUMENTS)
    assert result.is_error
    assert result.structured_content is None
    return text_of(result)


@in_virtual_time
async def test_a_call_is_a_request_to_the_path_of_its_name() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(
            200, json=RERANK_BODY if "rerank" in request.url.path else ANSWER_BODY
        )

    here = forwarding(answer)
    ranked = await call(here, RERANK, ARGUMENTS)
    assert ranked.structured_content["results"][0]["index"] == 1
    assert json.loads(text_of(ranked)) == ranked.structured_content
    answered = await call(here, ANSWER, {"query": "q"})
    assert answered.structured_content["answer"] == "Four weeks [1]."
    assert [request.url.path for request in seen] == ["/rerank", "/answer"]
    assert json.loads(seen[0].content)["documents"] == ["a", "b"]


@in_virtual_time
async def test_a_refusal_is_the_sentence_of_the_service() -> None:
    refusal = says(422, problem("invalid", "documents holds 9 documents, more than the limit of 5"))
    assert (
        await refuses(refusal) == "invalid: documents holds 9 documents, more than the limit of 5"
    )


@in_virtual_time
async def test_a_missing_key_says_where_the_key_comes_from() -> None:
    refusal = await refuses(says(401, problem("unauthorized", "an API key is needed")))
    assert refusal.startswith("unauthorized: an API key is needed")
    assert "RERANKD_API_KEYS" in refusal


@in_virtual_time
async def test_a_service_that_is_busy_is_tried_again_and_then_says_when_to_come_back() -> None:
    tries = 0

    def answer(_: httpx.Request) -> httpx.Response:
        nonlocal tries
        tries += 1
        headers = {"retry-after-ms": "1500"}
        return httpx.Response(429, json=problem("overloaded", "the queue is full"), headers=headers)

    assert await refuses(answer) == "overloaded: the queue is full; try again in 1.5 s"
    assert tries == 5


@in_virtual_time
async def test_a_service_that_is_starting_is_waited_for() -> None:
    tries = 0

    def answer(_: httpx.Request) -> httpx.Response:
        nonlocal tries
        tries += 1
        if tries < 3:
            return httpx.Response(503, json=problem("loading", "the model is loading"))
        return httpx.Response(200, json=RERANK_BODY)

    result = await call(forwarding(answer), RERANK, ARGUMENTS)
    assert not result.is_error


@in_virtual_time
async def test_a_service_that_is_not_there_is_named() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    assert await refuses(answer) == f"{NAME} cannot be reached: connection refused"


@in_virtual_time
async def test_a_service_that_hangs_is_named() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("", request=request)

    assert await refuses(answer) == f"{NAME} did not answer in time"


@pytest.mark.parametrize("status", [404, 500])
@in_virtual_time
async def test_another_server_is_shown_by_what_it_answered(status: int) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, text="<html>nothing here</html>")

    assert await refuses(answer) == f"http://here:8000/rerank answered {status}"


@in_virtual_time
async def test_what_is_not_json_is_no_answer() -> None:
    assert (
        await refuses(lambda _: httpx.Response(200, text="hello"))
        == f"{NAME} sent what is not an answer"
    )


@in_virtual_time
async def test_a_bug_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    assert await refuses(says(200, {"results": "secret"})) == UNEXPECTED
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.getMessage() == "mcp_call_failed"


@in_virtual_time
async def test_wrong_arguments_are_not_sent() -> None:
    result = await call(forwarding(says(500, {})), RERANK, {"query": "q"})
    assert text_of(result).startswith("invalid: documents: ")
    error = InvalidRequest("top_n: too small", field="top_n")
    assert forwarding(says(200, {})).explain(RERANK, error) == "invalid: top_n: too small"


@pytest.mark.parametrize("answers", [True, False])
@in_virtual_time
async def test_the_service_says_what_it_offers(answers: bool) -> None:
    info = {"answers": answers, "limits": {"documents": 5}, "version": "1"}
    offer = await forwarding(says(200, info)).offer()
    assert (offer.answers, offer.limits) == (answers, {"documents": 5})


@pytest.mark.parametrize("answer", [says(401, {}), says(200, []), says(503, {})])
@in_virtual_time
async def test_all_tools_are_offered_while_the_service_cannot_say(
    answer: Answers, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        offer = await forwarding(answer).offer()
    assert offer.answers
    assert [record.getMessage() for record in caplog.records] == ["mcp_service_unknown"]


def test_a_hint_is_never_zero() -> None:
    assert retry_text(0.0) == "; try again in 0.1 s"
    assert retry_text(None) == ""


@in_virtual_time
async def test_a_model_that_has_failed_is_not_waited_for() -> None:
    tries = 0

    def answer(_: httpx.Request) -> httpx.Response:
        nonlocal tries
        tries += 1
        return httpx.Response(503, json=problem("engine_failed", "no such model"))

    assert await refuses(answer) == "engine_failed: no such model"
    assert tries == 1
