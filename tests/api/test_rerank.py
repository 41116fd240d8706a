from __future__ import annotations

from typing import Any

import pytest
from httpx import AsyncClient

from app.api.dialects import native
from app.rerank.query import probability
from tests.desk import Desk

pytestmark = pytest.mark.anyio

QUERY = "how long may I keep the book?"
DOCUMENTS: list[Any] = [
    "The library opens at nine.",
    {"text": "Books are lent for four weeks.", "id": "rules-7", "page": 12, "tags": {"a": [1]}},
    "Which river runs through ten lands?",
]


@pytest.mark.parametrize("name", list(native.EXAMPLES))
async def test_each_example_of_the_docs_is_answered(client: AsyncClient, name: str) -> None:
    response = await client.post("/rerank", json=native.EXAMPLES[name]["value"])
    assert response.status_code == 200
    assert response.json()["results"] or name == "threshold"


async def ask(client: AsyncClient, **more: Any) -> dict[str, Any]:
    response = await client.post("/rerank", json={"query": QUERY, "documents": DOCUMENTS, **more})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_every_document_comes_back_in_order_of_its_score(client: AsyncClient) -> None:
    answer = await ask(client)
    scores = [result["relevance_score"] for result in answer["results"]]
    assert scores == sorted(scores, reverse=True)
    assert sorted(result["index"] for result in answer["results"]) == [0, 1, 2]
    assert answer["score"] == "probability"
    assert all(0 < score < 1 for score in scores)


async def test_the_answer_names_itself_and_the_model_but_never_a_path(client: AsyncClient) -> None:
    response = await client.post(
        "/rerank", json={"query": QUERY, "documents": ["a"]}, headers={"X-Request-ID": "call-7"}
    )
    assert response.headers["X-Request-ID"] == "call-7"
    assert response.json()["id"] == "call-7"
    assert "/" not in response.json()["model"]


async def test_documents_are_left_out_unless_asked_for(client: AsyncClient) -> None:
    assert all("document" not in result for result in (await ask(client))["results"])


async def test_documents_are_echoed_untouched(client: AsyncClient) -> None:
    answer = await ask(client, return_documents=True)
    echoed = {result["index"]: result["document"] for result in answer["results"]}
    assert echoed == {0: {"text": DOCUMENTS[0]}, 1: DOCUMENTS[1], 2: {"text": DOCUMENTS[2]}}


async def test_a_number_beyond_all_floats_is_refused_in_a_field_and_null_in_an_echo(
    client: AsyncClient,
) -> None:
    async def send(more: str) -> Any:
        raw = '{"query": "q", "documents": [{"text": "a", "w": -1e999}], ' + more + "}"
        headers = {"Content-Type": "application/json"}
        return await client.post("/rerank", content=raw, headers=headers)

    refused = await send('"min_score": 1e999')
    assert (refused.status_code, refused.json()["field"]) == (422, "min_score")
    echoed = await send('"return_documents": true')
    assert "Infinity" not in echoed.text
    assert echoed.json()["results"][0]["document"] == {"text": "a", "w": None}


async def test_a_document_keeps_its_id(client: AsyncClient) -> None:
    ids = {result["index"]: result.get("id") for result in (await ask(client))["results"]}
    assert ids == {0: None, 1: "rules-7", 2: None}


async def test_top_n_and_min_score_shorten_the_answer(client: AsyncClient) -> None:
    whole = (await ask(client))["results"]
    assert (await ask(client, top_n=2))["results"] == whole[:2]
    assert (await ask(client, min_score=whole[0]["relevance_score"]))["results"] == whole[:1]


@pytest.mark.parametrize("top_n", [None, 0, 99])
async def test_no_top_n_zero_or_too_many_means_all(client: AsyncClient, top_n: int | None) -> None:
    assert len((await ask(client, top_n=top_n))["results"]) == 3


async def test_logits_are_given_on_request(client: AsyncClient) -> None:
    answer = await ask(client, score="logit")
    assert answer["score"] == "logit"
    probabilities = (await ask(client))["results"]
    for logit, same in zip(answer["results"], probabilities, strict=True):
        assert probability(logit["relevance_score"]) == pytest.approx(same["relevance_score"])
        assert logit["index"] == same["index"]


async def test_usage_tells_what_was_cut(client: AsyncClient) -> None:
    answer = await ask(client, documents=["a", "book " * 500, "b"])
    assert answer["usage"]["documents"] == 3
    assert answer["usage"]["truncated"] == 1
    assert answer["usage"]["truncated_documents"] == [1]
    assert answer["usage"]["total_tokens"] > 64


async def test_a_request_says_how_long_documents_are_read_whatever_the_setting(
    desk: Desk,
) -> None:
    documents = ["book " * 200, "a"]
    for setting in ("cut", "windows"):
        async with desk.open(long_documents=setting) as client:
            cut = await ask(client, documents=documents, long_documents="cut")
            windows = await ask(client, documents=documents, long_documents="windows")
            unsaid = await ask(client, documents=documents)
        assert (cut["usage"]["truncated"], windows["usage"]["truncated"]) == (1, 0)
        assert windows["usage"]["total_tokens"] > 200
        assert unsaid["usage"] == {"cut": cut, "windows": windows}[setting]["usage"]


async def test_diagnostics_tell_the_way_of_each_document_and_the_time(client: AsyncClient) -> None:
    answer = await ask(client, query="where does the Danube end?", diagnostics=True)
    for position, result in enumerate(answer["results"]):
        before, after = result["index"] + 1, position + 1
        assert result["rank"] == {"before": before, "after": after, "change": before - after}
    times = answer["diagnostics"]
    parts = times["tokenize_ms"] + times["queue_ms"] + times["compute_ms"]
    assert 0 < times["compute_ms"] <= parts <= times["total_ms"] + 1


async def test_an_instruction_this_model_cannot_take_is_ignored_aloud(client: AsyncClient) -> None:
    answer = await ask(client, instruction="prefer rules")
    assert answer["warnings"] == [f"model {answer['model']} takes no instruction: it was ignored"]


async def test_unknown_keys_are_ignored(client: AsyncClient) -> None:
    assert (await ask(client, max_chunks_per_doc=3, user="me"))["results"]


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"query": None}, "query", "valid string"),
        ({"query": "  "}, "query", "not be empty or blank"),
        ({"documents": []}, "documents", "at least 1"),
        ({"documents": "text"}, "documents", "valid list"),
        ({"documents": ["a", 7]}, "documents[1]", "valid string"),
        ({"documents": ["a", {"id": 7}]}, "documents[1].text", "required"),
        ({"documents": [{"text": 7}]}, "documents[0].text", "valid string"),
        ({"top_n": -1}, "top_n", "greater than or equal to 0"),
        ({"top_n": "3"}, "top_n", "valid integer"),
        ({"score": "rank"}, "score", "'probability', 'logit' or 'calibrated'"),
        ({"long_documents": "whole"}, "long_documents", "'cut' or 'windows'"),
        ({"truncation_direction": "middle"}, "truncation_direction", "'left' or 'right'"),
        ({"timeout_ms": 0}, "timeout_ms", "greater than or equal to 1"),
        ({"priority": 1000}, "priority", "less than or equal to 999"),
        ({"return_documents": "yes"}, "return_documents", "valid boolean"),
        ({"timeout_ms": 10**400}, "timeout_ms", "finite number"),
        ({"top_n": -(10**400)}, "top_n", "finite number"),
    ],
)
async def test_bad_input_is_refused_by_the_name_of_the_field(
    client: AsyncClient, change: dict[str, Any], field: str, says: str
) -> None:
    response = await client.post("/rerank", json={"query": QUERY, "documents": DOCUMENTS, **change})
    assert response.status_code == 422
    problem = response.json()
    assert (problem["type"], problem["field"]) == ("invalid", field)
    assert says in problem["detail"]
    assert problem["detail"].startswith(field)


@pytest.mark.parametrize(
    ("setting", "change", "field"),
    [
        ("max_documents", {"documents": ["a"] * 11}, "documents"),
        ("max_query_chars", {"query": "q" * 11}, "query"),
        ("max_document_chars", {"documents": ["a", "b" * 11]}, "documents[1]"),
    ],
)
async def test_each_limit_is_kept_and_named(
    desk: Desk, setting: str, change: dict[str, Any], field: str
) -> None:
    async with desk.open(**{setting: 10}) as client:
        body = {"query": "q", "documents": ["a"]}
        assert (await client.post("/rerank", json=body)).status_code == 200
        response = await client.post("/rerank", json=body | change)
    assert response.status_code == 422
    assert (response.json()["field"], response.json()["limit"]) == (field, 10)
    assert "11" in response.json()["detail"]


async def test_with_truncation_off_a_long_document_is_named(client: AsyncClient) -> None:
    body = {"query": "q", "documents": ["a", "book " * 500], "truncate": False}
    response = await client.post("/rerank", json=body)
    assert response.status_code == 422
    assert response.json()["type"] == "too_long"
    assert (response.json()["field"], response.json()["limit"]) == ("documents[1]", 64)
