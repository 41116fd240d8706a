"""`/answer` where another service stands behind the local model."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from app.errors import QueueFull
from app.state import STARTING
from tests.desk import Desk
from tests.fakes import FakeRetriever

pytestmark = pytest.mark.anyio

TEXTS = ("The library opens at nine.", "Books are lent for four weeks.", "Bananas are yellow.")
BODY = {"query": "how long may I keep the book", "initial_k": 20, "min_score": 0}
NOWHERE = "/nowhere/model"


@pytest.fixture
def room(model: Path) -> Desk:
    return Desk(model, FakeRetriever(*TEXTS))


async def test_a_local_model_names_itself_in_the_header_alone(room: Desk) -> None:
    async with room.open() as client:
        answer = await client.post("/answer", json=BODY)
        ranked = await client.post("/rerank", json={"query": "q", "documents": ["a"]})
    assert answer.headers["X-Reranked-By"] == ranked.headers["X-Reranked-By"]
    assert "reranked_by" not in answer.json()


async def test_where_nothing_was_ranked_no_ranker_is_named(model: Path) -> None:
    async with Desk(model, FakeRetriever()).open() as client:
        answer = await client.post("/answer", json=BODY)
    assert (answer.status_code, "X-Reranked-By" in answer.headers) == (200, False)


@pytest.mark.parametrize("stream", [False, True])
async def test_once_the_local_model_has_failed_the_fallback_ranks_and_is_named(
    desk: Desk, room: Desk, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with desk.listening() as there, room.open(model=NOWHERE, fallback=there) as client:
        response = await client.post("/answer", json={**BODY, "stream": stream})
    assert (response.status_code, response.headers["X-Reranked-By"]) == (200, "rerankd")
    answer = json.loads(response.text.rpartition("data: ")[2]) if stream else response.json()
    assert (answer["outcome"], answer["reranked_by"]) == ("extractive", "rerankd")
    assert len(answer["sources"]) == len(TEXTS)
    requests = [line for line in caplog.records if line.getMessage() == "request"]
    fields = [line.__dict__["fields"] for line in requests]
    assert [each["reranked_by"] for each in fields if each["route"] == "/answer"] == ["rerankd"]


async def test_a_full_queue_sends_an_answer_s_passages_to_the_fallback(
    desk: Desk, room: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise QueueFull("no room", retry_after=1.0)

    async with desk.listening() as there, room.open(fallback=there) as client:
        first = await client.post("/answer", json=BODY)
        monkeypatch.setattr(room.app.state.wiring.service.served.reranker, "rank", full)
        second = await client.post("/answer", json=BODY)
    assert "reranked_by" not in first.json()
    assert (second.json()["reranked_by"], second.headers["X-Reranked-By"]) == ("rerankd",) * 2


async def test_a_fallback_that_fails_too_leaves_the_local_refusal(room: Desk) -> None:
    async with room.open(model=NOWHERE, fallback="http://127.0.0.1:9") as client:
        refused = await client.post("/answer", json=BODY)
    assert (refused.status_code, refused.json()["type"]) == (503, "engine_failed")
    assert refused.json()["detail"] == f"model folder {NOWHERE} does not exist"


async def test_without_a_fallback_a_model_that_is_not_there_answers_nothing(room: Desk) -> None:
    async with room.open() as client:
        room.app.state.wiring.service._local = STARTING
        refused = await client.post("/answer", json=BODY)
    assert (refused.status_code, refused.json()["type"]) == (503, "loading")
