"""Verdicts on answers."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from tests.api.asking import BODY, events_of
from tests.desk import Desk
from tests.live.service import scrape_text

pytestmark = pytest.mark.anyio


async def test_a_verdict_on_an_answer_is_kept(room: Desk, tmp_path: Path) -> None:
    file = tmp_path / "feedback.jsonl"
    async with room.open(feedback_file=file) as client:
        answer = (await client.post("/answer", json=BODY)).json()
        path = f"/answer/{answer['id']}/feedback"
        done = await client.post(path, json={"useful": "down", "source": "p2"})
        unknown = await client.post("/answer/nobody/feedback", json={"useful": "up"})
        wrong = await client.post(path, json={"useful": "perhaps"})
        metrics = scrape_text((await client.get("/metrics")).text)
    assert done.status_code == 204
    (row,) = [json.loads(line) for line in file.read_text().splitlines()]
    assert (row["query"], row["useful"]) == (BODY["query"], "down")
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
            body = {**BODY, "query": query, "stream": stream}
            response = await client.post("/answer", json=body)
            answer = events_of(response.text)[-1][1] if stream else response.json()
            names.append(answer["id"])
        for name in names:
            done = await client.post(f"/answer/{name}/feedback", json={"useful": "up"})
            assert done.status_code == 204
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["query"] for row in rows] == questions
    logged = [line.__dict__["fields"].get("answer_id") for line in caplog.records]
    assert [name for name in logged if name] == names


async def test_a_caller_cannot_make_the_file_grow_by_repeating_itself(
    room: Desk, tmp_path: Path
) -> None:
    file = tmp_path / "feedback.jsonl"
    async with room.open(feedback_file=file) as client:
        answer = (await client.post("/answer", json=BODY)).json()
        path = f"/answer/{answer['id']}/feedback"
        for _ in range(20):
            assert (await client.post(path, json={"useful": "up"})).status_code == 204
        once = file.stat().st_size
        statuses = [
            (await client.post(path, json={"useful": useful})).status_code
            for useful in ("down", "up") * 10
        ]
        metrics = scrape_text((await client.get("/metrics")).text)
        final = (await client.post(path, json={"useful": "down"})).json()
    assert statuses == [204] * 10 + [409, 204] * 5
    assert (final["type"], final["status"]) == ("feedback_final", 409)
    assert file.stat().st_size < once + 10 * 200
    assert metrics['rerankd_feedback_total{useful="up"}'] == 6
    assert metrics['rerankd_feedback_total{useful="down"}'] == 5


async def test_a_file_at_its_limit_is_reported(room: Desk, tmp_path: Path) -> None:
    file = tmp_path / "feedback.jsonl"
    file.write_bytes(b"\n" * 2**20)
    async with room.open(feedback_file=file, feedback_max_mb=1) as client:
        answer = (await client.post("/answer", json=BODY)).json()
        full = await client.post(f"/answer/{answer['id']}/feedback", json={"useful": "up"})
    assert (full.status_code, full.json()["type"]) == (507, "feedback_full")
    assert full.json()["limit"] == 2**20
    assert "feedback_max_mb" in full.json()["detail"]
    assert file.stat().st_size == 2**20


async def test_without_a_file_feedback_is_not_kept(room: Desk) -> None:
    async with room.open() as client:
        response = await client.post("/answer/x/feedback", json={"useful": "up"})
    assert (response.status_code, response.json()["type"]) == (404, "no_feedback")
