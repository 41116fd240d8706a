"""The fuzzers in their short form, and proof that their oracles can fail."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.ingest.document import Unreadable
from app.llm import Completion
from tests.reliability.fuzz import files, llm_streams
from tests.reliability.fuzz.__main__ import run_bodies, run_streams
from tests.reliability.fuzz.asgi import Response
from tests.reliability.fuzz.bodies import problem_of
from tests.reliability.fuzz.files import fuzz_files
from tests.reliability.fuzz.grammar import Grammar
from tests.reliability.fuzz.llm_streams import FORMATS, TEXT, fuzz_llm_streams
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


def test_models_that_break_off_or_send_garbage_are_heard_to_their_last_right_word() -> None:
    outcome = asyncio.run(fuzz_llm_streams(seed=11, count=500))
    assert outcome.problems == []
    assert outcome.ends["stop"] > 50 < outcome.ends["failed"]


@pytest.mark.parametrize(
    ("text", "ended", "problem"),
    [
        ("Books are lost", None, "no beginning"),
        ("Books ", Completion(), "taken for the whole text"),
        (TEXT, Completion(), "was not announced"),
    ],
)
def test_a_wrong_hearing_of_a_stream_that_was_cut_is_a_problem(
    text: str, ended: Completion | None, problem: str
) -> None:
    assert problem in llm_streams.problem_of(b"", FORMATS["openai"], text, ended)


def test_a_whole_stream_that_is_taken_for_broken_is_a_problem() -> None:
    spoken = FORMATS["anthropic"]
    assert "missed" in llm_streams.problem_of(spoken.stream, spoken, TEXT, None)


def test_files_that_were_changed_are_read_or_named_with_a_reason(tmp_path: Path) -> None:
    outcome = fuzz_files(tmp_path, seed=11, count=300)
    assert outcome.problems == []
    assert outcome.ends["read"] > 50 < outcome.ends["unreadable"]


@pytest.mark.parametrize("reason", ["its reader was ended by SIGSEGV", "takes more than 5 s"])
def test_a_file_that_harms_its_reader_is_a_problem(reason: str) -> None:
    assert files.problem_of(Unreadable(Path("a.pdf"), reason))
    assert not files.problem_of(Unreadable(Path("a.pdf"), "holds no text"))


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
