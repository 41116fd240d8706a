"""`/answer` with language models that misbehave, and clients that go away."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.llm.breaker import MAX_FAILURES_IN_A_ROW
from tests.api.asking import BODY, llm_of, streamed
from tests.desk import Desk
from tests.live.service import scrape_text
from tests.llm.server import breaks_off, llm_server, refuses, says, sends

pytestmark = pytest.mark.anyio

SECRETS = ("sk-secret", "lent for four weeks", "how long may I keep")


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
            answer = (await client.post("/answer", json=BODY)).json()
        metrics = scrape_text((await client.get("/metrics")).text)
    assert answer["outcome"] == "extractive"
    assert any("extracted, not written: m " in warning for warning in answer["warnings"])
    assert metrics['rerankd_llm_fallbacks_total{llm="m"}'] == 1
    assert metrics['rerankd_answers_total{outcome="extractive"}'] == 1
    logged = " ".join(
        f"{line.getMessage()} {line.__dict__.get('fields')}" for line in caplog.records
    )
    assert "/answer" in logged
    assert [secret for secret in SECRETS if secret in logged] == []


async def test_a_model_that_hangs_is_replaced_in_time(room: Desk) -> None:
    async with llm_server() as server:
        server.script = [server.hangs()]
        async with room.open(
            **llm_of(server, llm_timeout_ms=200, llm_first_token_ms=200)
        ) as client:
            answer = (await client.post("/answer", json=BODY)).json()
    assert answer["outcome"] == "extractive"
    assert answer["times_ms"]["llm"] >= 190


async def test_a_stream_that_hangs_in_the_middle_ends_with_an_error_of_a_stable_type(
    room: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with llm_server() as server:
        server.script = [server.hangs_in_the_middle("Four ", "weeks")]
        slow = llm_of(server, llm_timeout_ms=1500, llm_first_token_ms=1500)
        async with room.open(**slow) as client:
            events = await streamed(client)
    assert [name for name, _ in events] == ["sources", "text", "text", "error"]
    assert events[-1][1]["type"] == "upstream_timeout"
    (line,) = [record for record in caplog.records if record.getMessage() == "request"]
    assert line.__dict__["fields"]["outcome"] == "upstream_timeout"


async def test_the_next_model_is_asked(room: Desk) -> None:
    async with llm_server(refuses(500)) as down, llm_server(says("Four [1].")) as up:
        llms = f"{down.url}#a,{up.url}#b"
        async with room.open(llm=llms, llm_keys="-,sk-secret", llm_attempts=1) as client:
            answer = (await client.post("/answer", json=BODY)).json()
    assert (answer["outcome"], answer["llm"]) == ("answered", "b")
    assert "a answered 500" in answer["warnings"]
    assert "authorization" not in down.requests[0].headers


async def test_a_spent_budget_is_remembered_over_a_restart(room: Desk, tmp_path: Path) -> None:
    budget = {"llm_daily_tokens": 1200, "llm_budget_file": tmp_path / "budget.json"}
    async with llm_server(says("Four [1].")) as server:
        settings = llm_of(server, llm_max_tokens=100, llm_context_tokens=1000, **budget)
        outcomes: list[Any] = []
        for _ in range(3):
            async with room.open(**settings) as client:
                outcomes += [(await client.post("/answer", json=BODY)).json() for _ in range(4)]
    kinds = [outcome["outcome"] for outcome in outcomes]
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
            await client.post("/answer", json=BODY)
        metrics = scrape_text((await client.get("/metrics")).text)
    assert len(server.requests) == 1 + MAX_FAILURES_IN_A_ROW
    assert metrics['rerankd_llm_breaker_open{llm="m"}'] == 1
    assert metrics['rerankd_llm_fallbacks_total{llm="m"}'] == 7
    assert metrics['rerankd_llm_seconds_count{llm="m",outcome="failed"}'] == MAX_FAILURES_IN_A_ROW
    assert metrics['rerankd_llm_tokens_total{kind="prompt",llm="m"}'] == 90
    assert metrics["rerankd_llm_budget_tokens"] == 9_900
    assert metrics['rerankd_answer_stage_seconds_count{outcome="ok",stage="retrieve"}'] == 8


async def test_a_client_that_goes_away_ends_the_call_to_the_model(room: Desk) -> None:
    async with llm_server() as server:
        server.script = [server.hangs_in_the_middle("Four ")]
        async with (
            room.listening(**llm_of(server)) as url,
            httpx.AsyncClient(base_url=url, timeout=60) as client,
        ):
            body = {**BODY, "stream": True}
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
            asking = asyncio.create_task(client.post("/answer", json=BODY))
            await server.reached.wait()
            asking.cancel()
            await asyncio.wait_for(server.gone.wait(), 30)


@pytest.mark.parametrize("usage", ['{"prompt_tokens": 1e999}', '{"prompt_tokens": -5}', "[]"])
async def test_an_odd_usage_does_not_spoil_a_good_answer(room: Desk, usage: str) -> None:
    choice = '{"message": {"content": "Four weeks [1]."}, "finish_reason": "stop"}'
    raw = f'{{"choices": [{choice}], "usage": {usage}}}'.encode()
    async with llm_server(sends(raw)) as server, room.open(**llm_of(server)) as client:
        answer = (await client.post("/answer", json=BODY)).json()
        metrics = scrape_text((await client.get("/metrics")).text)
    assert answer["outcome"] == "answered"
    assert answer["usage"]["prompt_tokens"] > 100
    assert metrics['rerankd_llm_tokens_total{kind="prompt",llm="m"}'] > 100


async def test_questions_that_do_not_wait_are_counted(room: Desk) -> None:
    async with llm_server() as server:
        server.script = [server.hangs()]
        few = {"llm_concurrency": 1, "llm_queue": 0}
        async with room.open(**llm_of(server, **few)) as client:
            hanging = asyncio.create_task(client.post("/answer", json=BODY))
            await server.reached.wait()
            answer = (await client.post("/answer", json=BODY)).json()
            metrics = scrape_text((await client.get("/metrics")).text)
            hanging.cancel()
            await asyncio.wait([hanging])
    assert answer["outcome"] == "extractive"
    assert metrics["rerankd_llm_crowded_total"] == 1
    assert metrics["rerankd_llm_waiting"] == 0
