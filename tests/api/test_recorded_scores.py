"""What the service records of its scores, and that `rerankd drift` reads it."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from app.evaluation.drift.collecting import collect
from app.logs import JsonFormatter
from tests.api.asking import BODY, TEXTS
from tests.desk import Desk
from tests.live.service import scrape_text
from tests.logged import fields_logged

pytestmark = pytest.mark.anyio

DOCUMENTS = ["a book is lent", "it opens at nine", "a film"]
QUERY = {"query": "how long", "documents": DOCUMENTS}


@pytest.fixture(autouse=True)
def access_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "rerankd.access")


def scores_logged(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    names = ("model", "top_score", "score_gap")
    return [
        {name: fields[name] for name in names if name in fields}
        for fields in fields_logged(caplog, "request")
    ]


@pytest.mark.parametrize(
    "fields", [{}, {"score": "logit"}, {"top_n": 1}, {"min_score": 0.999999}], ids=str
)
async def test_the_best_score_and_its_distance_are_logged_whatever_was_requested(
    room: Desk, caplog: pytest.LogCaptureFixture, fields: dict[str, Any]
) -> None:
    async with room.open() as client:
        full = (await client.post("/rerank", json=QUERY)).json()
        await client.post("/rerank", json=QUERY | fields)
        metrics = scrape_text((await client.get("/metrics")).text)
    best, second, _ = [result["relevance_score"] for result in full["results"]]
    expected = {
        "model": full["model"],
        "top_score": pytest.approx(best, abs=1e-6),
        "score_gap": pytest.approx(best - second, abs=1e-6),
    }
    assert scores_logged(caplog) == [expected, expected]
    assert metrics["rerankd_top_score_count"] == metrics["rerankd_score_gap_count"] == 2
    assert metrics["rerankd_top_score_sum"] == pytest.approx(2 * best, abs=1e-5)


async def test_a_single_document_has_no_gap_and_a_document_without_score_is_none(
    room: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    async with room.open() as client:
        await client.post("/rerank", json={"query": "q", "documents": ["a book", " "]})
        await client.post("/rerank", json={"query": "q", "documents": [" "]})
        metrics = scrape_text((await client.get("/metrics")).text)
    first, second = scores_logged(caplog)
    assert first.keys() == {"model", "top_score"}
    assert second == {}
    assert metrics["rerankd_top_score_count"] == 1
    assert metrics["rerankd_score_gap_count"] == 0


async def test_pairs_that_are_no_ranking_are_not_counted(
    room: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    async with room.open() as client:
        body = {"text_1": "how long", "text_2": DOCUMENTS}
        assert (await client.post("/score", json=body)).status_code == 200
        metrics = scrape_text((await client.get("/metrics")).text)
    assert scores_logged(caplog) == [{}]
    assert metrics["rerankd_top_score_count"] == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_is_recorded_once_with_the_score_of_its_best_candidate(
    room: Desk, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    async with room.open() as client:
        await client.post("/answer", json={**BODY, "stream": stream})
        metrics = scrape_text((await client.get("/metrics")).text)
    (scores,) = scores_logged(caplog)
    assert scores.keys() == {"model", "top_score", "score_gap"}
    assert metrics["rerankd_top_score_count"] == 1
    assert metrics["rerankd_top_score_sum"] == pytest.approx(scores["top_score"], abs=1e-6)


async def test_feedback_has_the_whole_order_of_the_reranker(room: Desk, tmp_path: Path) -> None:
    file = tmp_path / "feedback.jsonl"
    async with room.open(feedback_file=file) as client:
        answer = (await client.post("/answer", json=BODY)).json()
        ranked = await client.post("/rerank", json={"query": BODY["query"], "documents": TEXTS})
        await client.post(f"/answer/{answer['id']}/feedback", json={"useful": "up"})
    (row,) = [json.loads(line) for line in file.read_text().splitlines()]
    results = ranked.json()["results"]
    assert row["model"] == ranked.json()["model"]
    assert row["ranking"] == [result["index"] for result in results]
    scores = [result["relevance_score"] for result in results]
    assert row["scores"] == pytest.approx(scores, abs=1e-5)
    assert [document["text"] for document in row["documents"]] == list(TEXTS)


async def test_drift_reads_what_the_service_writes(
    room: Desk, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.INFO)
    feedback, log = tmp_path / "feedback.jsonl", tmp_path / "service.log"
    async with room.open(feedback_file=feedback) as client:
        await client.post("/rerank", json=QUERY)
        answer = (await client.post("/answer", json=BODY)).json()
        await client.post("/rerank", json={"query": "q"})
        await client.post(f"/answer/{answer['id']}/feedback", json={"useful": "up"})
    form = JsonFormatter()
    log.write_text("".join(f"{form.format(record)}\n" for record in caplog.records))
    assert not any(text in log.read_text() for text in (*DOCUMENTS, *TEXTS, str(BODY["query"])))
    before, after = collect([log, feedback], None, "")
    assert (before.requests, len(before.unknown), before.unscored) == (2, 1, 0)
    assert before.documents.values.tolist() == [len(DOCUMENTS), len(TEXTS)]
    assert [card["engine"] for card in before.cards] == ["torch"]
    (judged,) = after.judgements
    assert len(judged.order or ()) == len(TEXTS)
    assert before.models == after.models == {judged.model}
