"""`/answer` over the whole service, with a small real model."""

from __future__ import annotations

from typing import Any

import pytest

from app.api.answer_bodies import EXAMPLES, AnswerBody
from app.errors import UpstreamFailed, UpstreamTimeout
from app.retrieval.store import Candidate
from tests.api.asking import BODY, TEXTS, llm_of, streamed
from tests.desk import Desk
from tests.fakes import FakeRetriever
from tests.live.service import scrape_text
from tests.llm.server import llm_server, says

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("name", EXAMPLES)
async def test_the_examples_of_the_schema_are_answered(room: Desk, name: str) -> None:
    async with room.open() as client:
        response = await client.post("/answer", json=EXAMPLES[name]["value"])
    assert response.status_code == 200


async def test_an_answer_has_its_sources_its_citations_and_its_costs(room: Desk) -> None:
    async with llm_server(says("Four weeks [1].")) as server, room.open(**llm_of(server)) as client:
        response = await client.post(
            "/answer",
            json={**BODY, "final_k": 2, "return_documents": True, "diagnostics": True},
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


@pytest.mark.parametrize("stream", [False, True])
async def test_a_number_in_the_metadata_that_json_has_no_word_for_is_null(
    room: Desk, retriever: FakeRetriever, stream: bool
) -> None:
    odd = Candidate("p1", TEXTS[0], {"weight": float("inf")}, 1.0)
    retriever.candidates = [odd, *retriever.candidates[1:]]
    async with room.open() as client:
        response = await client.post("/answer", json={**BODY, "stream": stream})
    assert "Infinity" not in response.text
    assert '"metadata":{"weight":null}' in response.text


async def test_a_stream_sends_sources_then_words_then_the_whole_answer(room: Desk) -> None:
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


async def test_an_invented_citation_is_counted_once_even_if_the_answer_is_given_again(
    room: Desk,
) -> None:
    async with (
        llm_server(says("Four [9].")) as server,
        room.open(**llm_of(server, answer_cache_seconds=60)) as client,
    ):
        answers = [(await client.post("/answer", json=BODY)).json() for _ in range(2)]
        metrics = scrape_text((await client.get("/metrics")).text)
    assert [answer["cached"] for answer in answers] == [False, True]
    assert answers[0]["warnings"] == answers[1]["warnings"]
    assert metrics["rerankd_citations_invented_total"] == 1


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
        ({"query": "q", "filters": {str(name): [] for name in range(33)}}, "filters", 32),
        ({"query": "q", "filters": {"n" * 10_000: []}}, "filters", 128),
        ({"query": "q", "filters": {str(name): 1 for name in range(33)}}, "filters", 32),
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
        problem = (await client.post("/answer", json=BODY)).json()
    assert (problem["type"], problem["status"]) == ("no_store", 404)
    assert "no store is configured" in problem["detail"]


async def test_a_store_that_gives_nothing_is_an_honest_answer(
    room: Desk, retriever: FakeRetriever
) -> None:
    retriever.candidates = []
    async with room.open() as client:
        answer = (await client.post("/answer", json=BODY)).json()
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
        response = await client.post("/answer", json={**BODY, "stream": stream})
    assert (response.status_code, response.json()["type"]) == (status, kind)
    assert response.json()["detail"] == str(error)


async def test_without_a_key_nothing_is_answered(room: Desk) -> None:
    async with room.open(api_keys="one") as client:
        for path in ("/answer", "/answer/x/feedback"):
            assert (await client.post(path, json=BODY)).status_code == 401


async def test_an_unforeseen_error_in_a_stream_is_reported_without_its_text(
    room: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("app.api.answer_stream.render", broken)
    async with room.open() as client:
        events = await streamed(client)
    assert events[-1][0] == "error"
    assert (events[-1][1]["type"], events[-1][1]["status"]) == ("internal", 500)
    assert "secret" not in str(events)
    assert [line.getMessage() for line in caplog.records if line.exc_info] == ["unexpected_error"]


async def test_what_is_answered_is_what_the_schema_says(room: Desk) -> None:
    async with room.open() as client:
        answer = (await client.post("/answer", json={**BODY, "diagnostics": True})).json()
        schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
    assert AnswerBody.model_validate(answer).model_dump(exclude_none=True) == answer
    assert set(answer) <= set(schemas["AnswerBody"]["properties"])
    assert set(schemas["AnswerBody"]["examples"][0]) <= set(schemas["AnswerBody"]["properties"])
    assert schemas["AnswerRequest"]["properties"]["initial_k"]["maximum"] == 1000
