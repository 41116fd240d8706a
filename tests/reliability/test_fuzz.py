"""The fuzzers in their short form, and proof that their oracles can fail."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.reliability.fuzz.__main__ import run_bodies, run_streams
from tests.reliability.fuzz.asgi import Response
from tests.reliability.fuzz.bodies import problem_of
from tests.reliability.fuzz.grammar import Grammar
from tests.reliability.fuzz.streams import Outcome, judge

JSON = {"content-type": "application/json"}


def test_bodies_of_every_kind_get_a_documented_answer_in_json(tmp_path: Path) -> None:
    outcome = asyncio.run(run_bodies(tmp_path, seed=11, count=3000))
    assert outcome.problems == []
    assert outcome.count == 3000
    assert {200, 400, 422} <= set(outcome.statuses)


def test_raw_bytes_get_http_or_a_closed_connection(tmp_path: Path) -> None:
    outcome = asyncio.run(run_streams(tmp_path, seed=11, count=1500))
    assert outcome.problems == []
    assert outcome.count >= 1500
    assert {200, 400} <= set(outcome.statuses)


def test_the_same_seed_gives_the_same_bodies() -> None:
    first, second, other = Grammar(5), Grammar(5), Grammar(6)
    bodies = [first.case() for _ in range(200)]
    assert bodies == [second.case() for _ in range(200)]
    assert bodies != [other.case() for _ in range(200)]


@pytest.mark.parametrize(
    ("response", "held", "problem"),
    [
        (Response(500, JSON, b"{}"), 0.0, "status 500"),
        (Response(302, JSON, b"{}"), 0.0, "status 302"),
        (Response(200, JSON, b"{}"), 0.3, "held the loop for 300 ms"),
        (Response(200, JSON, b'{"score": NaN}'), 0.0, "without JSON: NaN"),
        (Response(422, JSON, b"oops"), 0.0, "without JSON"),
        (Response(422, {"content-type": "text/html"}, b"<p>"), 0.0, "without JSON"),
        (Response(200, {"content-type": "text/event-stream"}, b"{}"), 0.0, "not one"),
    ],
)
def test_an_answer_that_breaks_a_promise_is_a_problem(
    response: Response, held: float, problem: str
) -> None:
    assert problem in problem_of(response, held)


@pytest.mark.parametrize(
    "response",
    [
        Response(200, JSON, b'{"results": []}'),
        Response(204, {}, b""),
        Response(413, {"content-type": "text/plain; charset=utf-8"}, b"too large"),
        Response(200, {"content-type": "text/event-stream"}, b"event: sources\n"),
    ],
)
def test_a_documented_answer_is_none(response: Response) -> None:
    assert problem_of(response, 0.01) == ""


@pytest.mark.parametrize(
    "answer",
    [b"hello", b"HTTP/1.1 500 Internal Server Error\r\n\r\n", b"HTTP/1.1 302 Found\r\n\r\n"],
)
def test_bytes_that_are_no_http_and_undocumented_statuses_are_problems(answer: bytes) -> None:
    outcome = Outcome(1)
    judge(b"GET /", answer, outcome)
    assert len(outcome.problems) == 1
