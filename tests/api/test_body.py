"""What is large is written in portions; it is the same JSON, and others run in between."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import Request

from app.api.body import LARGE_BYTES, MAX_UNBROKEN_BYTES, read_json, write_answer, write_json
from app.api.context import open_context
from app.api.limits import RequestLimits
from app.errors import MalformedRequest

pytestmark = pytest.mark.anyio

LIMITS = RequestLimits(10**6, 1000, 10**6, 10**6, 1000)
BODIES: list[Any] = [
    {},
    [],
    {"results": []},
    {"id": "a", "results": [{"index": 0, "score": 1e999}, {"index": 1}], "meta": {"n": [1, 2]}},
    {"results": [], "empty": {}, "text": 'é "quoted" 😀'},
    [{"index": 0, "score": 0.5}, {"index": 1, "score": -0.0}],
    [[], [[]], {}],
    "text",
]


def request_of(size: int) -> Request:
    request = Request({"type": "http"})
    open_context(request.scope, "r").body_bytes = size
    return request


def sent(body: bytes) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    headers = [(b"content-type", b"application/json")]
    request = Request({"type": "http", "headers": headers}, receive)
    open_context(request.scope, "r")
    return request


class Others:
    """Counts how often somebody else could run."""

    def __init__(self) -> None:
        self.turns = 0

    async def run(self) -> None:
        while True:
            self.turns += 1
            await asyncio.sleep(0)


async def turns_while_writing(size: int, body: Any) -> int:
    others = Others()
    task = asyncio.create_task(others.run())
    await write_answer(request_of(size), body)
    task.cancel()
    return others.turns


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("size", [0, LARGE_BYTES + 1])
async def test_in_portions_or_not_it_is_the_same_json(body: Any, size: int) -> None:
    assert await write_answer(request_of(size), body) == write_json(body)


@pytest.mark.parametrize("wrapped", [lambda items: items, lambda items: {"results": items}])
async def test_others_run_between_the_portions_of_a_large_answer(wrapped: Any) -> None:
    body = wrapped([{"text": "x" * (MAX_UNBROKEN_BYTES // 2)} for _ in range(12)])
    assert await turns_while_writing(LARGE_BYTES + 1, body) >= 4


async def test_a_small_answer_is_written_at_once() -> None:
    assert await turns_while_writing(100, {"results": [{"index": 0}] * 100}) == 0


async def test_no_text_of_a_caller_is_kept_for_the_next_request() -> None:
    """The parser has a cache of short texts, which would hold them for hours."""
    first, second = [await read_json(sent(b'{"query":"a secret"}'), LIMITS) for _ in range(2)]
    assert first == second
    assert first["query"] is not second["query"]


async def test_a_byte_order_mark_before_the_json_is_ignored() -> None:
    assert await read_json(sent(b'\xef\xbb\xbf{"query":"q"}'), LIMITS) == {"query": "q"}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "the body is empty"),
        (b"\xef\xbb\xbf", "the body is empty"),
        ('{"query":"é"}'.encode("latin-1"), "the body is not JSON in UTF-8: invalid unicode"),
        ('{"query":"q"}'.encode("utf-16"), "the body is not JSON in UTF-8: "),
    ],
)
async def test_a_body_without_json_says_what_is_expected(body: bytes, says: str) -> None:
    with pytest.raises(MalformedRequest, match=f"^{says}"):
        await read_json(sent(body), LIMITS)
