"""`/answer` over the whole service, with a small real model and language models that misbehave."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx import AsyncClient

from app.answer.llm.breaker import FAILURES
from app.api.answer_bodies import EXAMPLES, AnswerBody
from app.errors import UpstreamFailed, UpstreamTimeout
from tests.answer.llm.server import LLMServer, breaks_off, llm_server, refuses, says, sends
from tests.desk import Desk
from tests.fakes import FakeRetriever
from tests.live.service import scrape_text

pytestmark = pytest.mark.anyio

SECRETS = ("sk-secret", "lent for four weeks", "how long may I keep")
TEXTS = ("The library opens at nine.", "Books are lent for four weeks.", "Bananas are yellow.")
ASKED = {"query": "how long may I keep the book", "initial_k": 20, "min_score": 0}


@pytest.fixture
def retriever() -> FakeRetriever:
    return FakeRetriever(*TEXTS)


@pytest.fixture
def room(model: Path, retriever: FakeRetriever) -> Desk:
    return Desk(model, retriever)


def llm_of(server: LLMServer, **more: Any) -> dict[str, Any]:
    return {"llm": f"{server.url}#m", "llm_keys": "sk-secret", "llm_attempts": 2, **more}


def events_of(text: str) -> list[tuple[str, Any]]:
    blocks = [block.split("\n") for block in text.split("\n\n") if block]
    return [
        (name.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
        for name, data in blocks
    ]


async def streamed(client: AsyncClient, **more: Any) -> list[tuple[str, Any]]:
    response = await client.post("/answer", json={**ASKED, "stream": True, **more})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-request-id"]
    return events_of(response.text)


# --- answers ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EXAMPLES)
async def test_the_examples_of_the_schema_are_answered(room: Desk, name: str) -> None:
    async with room.open() as client:
        response = await client.post("/answer", json=EXAMPLES[name]["value"])
    assert response.status_code == 200


async def test_an_answer_has_its_sources_its_citations_and_its_costs(room: Desk) -> None:
    async with llm_server(says("Four weeks [1].")) as server, room.open(**llm_of(server)) as client:
        response = await client.post(
            "/answer",
            json={**ASKED, "final_k": 2, "return_documents": True, "diagnostics": True},
            headers={"X-Request-ID": "call-9"},
        )
    answer = response.json()
    assert response.headers["x-request-id"] == "call-9"
    assert (answer["outcome"], answer["llm"]) == ("answered", "m")
    assert answer["citations"] == [{"start": 0, "end": 10, "text": "Four weeks", "sources": [1]}]
    assert (answer["retrieved_count"], answer["used_count"]) == (3, 2)
    assert answer["usage"]["total_tokens"] == 100
    assert answer["usage"]["rerank_tokens"] > 0
    assert set(answer["times_ms"]) == {"retrieve", "rerank", "llm", "first_token", "total"}
    assert answer["diagnostics"]["candidates"] == ["p1", "p2", "p3"]
    first = answer["sources"][0]
    assert first["text"] in TEXTS
    assert first["metadata"] == {"source": f"{first['id'][1:]}.md"}
    assert first["first_stage_rank"] == int(first["id"][1:])
    assert first["rerank_rank"] == 1


async def test_a_stream_tells_sources_then_words_then_the_whole_answer(room: Desk) -> None:
    async with (
        llm_server(says("Four ", "weeks [", "1] or [9].")) as server,
        room.open(**llm_of(server)) as client,
    ):
        events = await streamed(client)
    assert [name for name, _ in events] == ["sources", "text", "text", "text", "answer"]
    (_, sources), *_, (_, answer) = events
    assert sources["sources"] == answer["sources"]
    assert "".join(event["text"] for name, event in events if name == "text") == answer["answer"]
    assert answer["answer"] == "Four weeks [1] or."
    assert answer["invented_citations"] == [9]
    assert answer["usage"]["total_tokens"] == 100


async def test_what_a_model_made_up_is_counted_once_though_it_is_answered_again(room: Desk) -> None:
    async with (
        llm_server(says("Four [9].")) as server,
        room.open(**llm_of(server, answer_cache_seconds=60)) as client,
    ):
        answers = [(await client.post("/answer", json=ASKED)).json() for _ in range(2)]
        metrics = scrape_text((await client.get("/metrics")).text)
    assert [one["cached"] for one in answers] == [False, True]
    assert answers[0]["warnings"] == answers[1]["warnings"]
    assert metrics["rerankd_citations_invented_total"] == 1


# --- refusals -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field", "limit"),
    [
        ({}, "query", None),
        ({"query": " "}, "query", None),
        ({"query": "q" * 20_001}, "query", 20_000),
        ({"query": "q", "initial_k": 1001}, "initial_k", 1000),
        ({"query": "q", "initial_k": 10, "final_k": 10}, "final_k", 9),
        ({"query": "q", "final_k": 0}, "final_k", 1),
        ({"query": "q", "filters": {"a": []}}, "filters.a.str", None),
        ({"query": "q", "conversation": [{"role": "system", "content": "x"}]}, None, None),
        ({"query": "q", "timeout_ms": 0}, "timeout_ms", 1),
        ({"query": "q", "timeout_ms": 10**400}, "timeout_ms", None),
        ({"query": "q", "min_score": -(10**400)}, "min_score", None),
    ],
)
async def test_a_bad_question_is_refused_by_field_and_limit(
    room: Desk, body: dict[str, Any], field: str | None, limit: int | None
) -> None:
    async with room.open() as client:
        problem = (await client.post("/answer", json=body)).json()
    assert (problem["type"], problem["status"]) == ("invalid", 422)
    if field is not None:
        assert (problem["field"].partition(".str")[0], problem.get("limit")) == (
            field.partition(".str")[0],
            limit,
        )


async def test_without_a_store_it_says_so(desk: Desk) -> None:
    async with desk.open() as client:
        problem = (await client.post("/answer", json=ASKED)).json()
    assert (problem["type"], problem["status"]) == ("no_store", 404)
    assert "no store is configured" in problem["detail"]


async def test_a_store_that_gives_nothing_is_an_honest_answer(
    room: Desk, retriever: FakeRetriever
) -> None:
    retriever.candidates = []
    async with room.open() as client:
        answer = (await client.post("/answer", json=ASKED)).json()
    assert (answer["outcome"], answer["answer"]) == ("not_found", "I don't know.")
    assert answer["warnings"] == ["nothing was retrieved: is anything ingested?"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (UpstreamFailed("chroma answered 500", upstream="chroma"), 502, "upstream_failed"),
        (UpstreamTimeout("chroma did not answer", upstream="chroma"), 504, "upstream_timeout"),
    ],
)
async def test_a_store_that_fails_is_a_refusal_with_its_reason(
    room: Desk, retriever: FakeRetriever, stream: bool, error: Exception, status: int, kind: str
) -> None:
    retriever.error = error
    async with room.open() as client:
        response = await client.post("/answer", json={**ASKED, "stream": stream})
    assert (response.status_code, response.json()["type"]) == (status, kind)
    assert response.json()["detail"] == str(error)


async def test_without_a_key_nothing_is_answered(room: Desk) -> None:
    async with room.open(api_keys="one") as client:
        for path in ("/answer", "/answer/x/feedback"):
            assert (await client.post(path, json=ASKED)).status_code == 401


# --- language models that misbehave ---------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "behave",
    [refuses(500), refuses(429, Retry_After="3600"), refuses(401), sends(b"<html>"), breaks_off()],
)
async def test_a_model_that_fails_is_replaced_by_an_extract_and_nothing_leaks(
    room: Desk, caplog: pytest.LogCaptureFixture, stream: bool, behave: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    async with llm_server(behave) as server, room.open(**llm_of(server)) as client:
        if stream:
            (*_, (name, answer)) = await streamed(client)
            assert name == "answer"
        else:
            answer = (await client.post("/answer", json=ASKED)).json()
        metrics = scrape_text((await client.get("/metrics")).text)
    assert answer["outcome"] == "extractive"
    assert any("extracted, not written: m " in one for one in answer["warnings"])
    assert metrics['rerankd_llm_fallbacks_total{llm="m"}'] == 1
    assert metrics['rerankd_answers_total{outcome="extractive"}'] == 1
    logged = " ".join(f"{one.getMessage()} {one.__dict__.get('fields')}" for one in caplog.records)
    assert "/answer" in logged
    assert [secret for secret in SECRETS if secret in logged] == []


async def test_a_model_that_hangs_is_replaced_in_time(room: Desk) -> None:
    async with llm_server() as server:
        server.script = [server.hangs()]
        async with room.open(**llm_of(server, llm_timeout_ms=200, llm_first_token_ms=200)) as one:
            answer = (await one.post("/answer", json=ASKED)).json()
    assert answer["outcome"] == "extractive"
    assert answer["times_ms"]["llm"] >= 190


async def test_a_stream_that_hangs_in_the_middle_ends_with_an_error_of_a_stable_type(
    room: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with llm_server() as server:
        server.script = [server.hangs_in_the_middle("Four ", "weeks")]
        async with room.open(**llm_of(server, llm_timeout_ms=1500, llm_first_token_ms=1500)) as one:
            events = await streamed(one)
    assert [name for name, _ in events] == ["sources", "text", "text", "error"]
    assert events[-1][1]["type"] == "upstream_timeout"
    (line,) = [one for one in caplog.records if one.getMessage() == "request"]
    assert line.__dict__["fields"]["outcome"] == "upstream_timeout"


async def test_the_next_model_is_asked(room: Desk) -> None:
    async with llm_server(refuses(500)) as down, llm_server(says("Four [1].")) as up:
        llms = f"{down.url}#a,{up.url}#b"
        async with room.open(llm=llms, llm_keys="-,sk-secret", llm_attempts=1) as client:
            answer = (await client.post("/answer", json=ASKED)).json()
    assert (answer["outcome"], answer["llm"]) == ("answered", "b")
    assert "a answered 500" in answer["warnings"]
    assert "authorization" not in down.asked[0].headers


async def test_a_spent_budget_is_remembered_over_a_restart(room: Desk, tmp_path: Path) -> None:
    budget = {"llm_daily_tokens": 1200, "llm_budget_file": tmp_path / "budget.json"}
    async with llm_server(says("Four [1].")) as server:
        settings = llm_of(server, llm_max_tokens=100, llm_context_tokens=1000, **budget)
        outcomes: list[Any] = []
        for _ in range(3):
            async with room.open(**settings) as client:
                outcomes += [(await client.post("/answer", json=ASKED)).json() for _ in range(4)]
    kinds = [one["outcome"] for one in outcomes]
    assert kinds == sorted(kinds)  # answered, then extractive, never back
    assert kinds[0] == "answered"
    assert kinds[-1] == "extractive"
    assert "tokens for today are spent" in " ".join(outcomes[-1]["warnings"])


async def test_a_model_that_keeps_failing_is_seen_to_be_left_alone(
    room: Desk, tmp_path: Path
) -> None:
    budget = {"llm_daily_tokens": 10_000, "llm_budget_file": tmp_path / "budget.json"}
    async with (
        llm_server(says("Four [1]."), refuses(401)) as server,
        room.open(**llm_of(server, **budget)) as client,
    ):
        for _ in range(8):
            await client.post("/answer", json=ASKED)
        metrics = scrape_text((await client.get("/metrics")).text)
    assert len(server.asked) == 1 + FAILURES
    assert metrics['rerankd_llm_breaker_open{llm="m"}'] == 1
    assert metrics['rerankd_llm_fallbacks_total{llm="m"}'] == 7
    assert metrics['rerankd_llm_seconds_count{llm="m",outcome="failed"}'] == FAILURES
    assert metrics['rerankd_llm_tokens_total{kind="prompt",llm="m"}'] == 90
    assert metrics["rerankd_llm_budget_tokens"] == 9_900
    assert metrics['rerankd_answer_stage_seconds_count{outcome="ok",stage="retrieve"}'] == 8


# --- clients that go away -------------------------------------------------------------------


async def test_a_client_that_goes_away_ends_the_call_to_the_model(room: Desk) -> None:
    async with llm_server() as server:
        server.script = [server.hangs_in_the_middle("Four ")]
        async with (
            room.listening(**llm_of(server)) as url,
            httpx.AsyncClient(base_url=url, timeout=60) as client,
        ):
            body = {**ASKED, "stream": True}
            async with client.stream("POST", "/answer", json=body) as response:
                async for line in response.aiter_lines():
                    if line == "event: text":
                        break
            await asyncio.wait_for(server.gone.wait(), 30)


async def test_a_client_that_does_not_wait_ends_it_too(room: Desk) -> None:
    async with llm_server() as server:
        server.script = [server.hangs()]
        async with (
            room.listening(**llm_of(server)) as url,
            httpx.AsyncClient(base_url=url, timeout=60) as client,
        ):
            asking = asyncio.create_task(client.post("/answer", json=ASKED))
            await server.reached.wait()
            asking.cancel()
            await asyncio.wait_for(server.gone.wait(), 30)


# --- feedback -----------------------------------------------------------------------------


async def test_a_verdict_on_an_answer_is_kept(room: Desk, tmp_path: Path) -> None:
    file = tmp_path / "feedback.jsonl"
    async with room.open(feedback_file=file) as client:
        answer = (await client.post("/answer", json=ASKED)).json()
        path = f"/answer/{answer['id']}/feedback"
        done = await client.post(path, json={"useful": "down", "source": "p2"})
        unknown = await client.post("/answer/nobody/feedback", json={"useful": "up"})
        wrong = await client.post(path, json={"useful": "perhaps"})
        metrics = scrape_text((await client.get("/metrics")).text)
    assert done.status_code == 204
    (row,) = [json.loads(line) for line in file.read_text().splitlines()]
    assert (row["query"], row["useful"]) == (ASKED["query"], "down")
    assert row["relevant"][0].startswith("p2@")
    assert (unknown.status_code, unknown.json()["type"]) == (404, "unknown_answer")
    assert (wrong.status_code, wrong.json()["field"]) == (422, "useful")
    assert metrics['rerankd_feedback_total{useful="down"}'] == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_two_answers_under_one_request_id_are_judged_apart(
    room: Desk, tmp_path: Path, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    caplog.set_level(logging.INFO, "rerankd.access")
    file, questions = tmp_path / "feedback.jsonl", ["how long", "when does it open"]
    async with room.open(feedback_file=file) as client:
        client.headers["X-Request-ID"] = "trace/7"
        names = []
        for query in questions:
            asked = {**ASKED, "query": query, "stream": stream}
            response = await client.post("/answer", json=asked)
            answer = events_of(response.text)[-1][1] if stream else response.json()
            names.append(answer["id"])
        for name in names:
            done = await client.post(f"/answer/{name}/feedback", json={"useful": "up"})
            assert done.status_code == 204
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["query"] for row in rows] == questions
    logged = [one.__dict__["fields"].get("answer_id") for one in caplog.records]
    assert [name for name in logged if name] == names


async def test_without_a_file_feedback_is_not_kept(room: Desk) -> None:
    async with room.open() as client:
        response = await client.post("/answer/x/feedback", json={"useful": "up"})
    assert (response.status_code, response.json()["type"]) == (404, "no_feedback")


# --- the unforeseen -------------------------------------------------------------------------


async def test_what_is_unforeseen_in_a_stream_is_told_without_a_word_of_it(
    room: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("app.api.answer.render", broken)
    async with room.open() as client:
        events = await streamed(client)
    assert events[-1][0] == "error"
    assert (events[-1][1]["type"], events[-1][1]["status"]) == ("internal", 500)
    assert "secret" not in str(events)
    assert [one.getMessage() for one in caplog.records if one.exc_info] == ["unforeseen"]


async def test_what_is_answered_is_what_the_schema_says(room: Desk) -> None:
    async with room.open() as client:
        answer = (await client.post("/answer", json={**ASKED, "diagnostics": True})).json()
        schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
    assert AnswerBody.model_validate(answer).model_dump(exclude_none=True) == answer
    assert set(answer) <= set(schemas["AnswerBody"]["properties"])
    assert set(schemas["AnswerBody"]["examples"][0]) <= set(schemas["AnswerBody"]["properties"])
    assert schemas["AnswerRequest"]["properties"]["initial_k"]["maximum"] == 1000
