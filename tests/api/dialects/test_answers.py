"""What each dialect is sent, and what it answers, over the whole service."""

from __future__ import annotations

import math
from typing import Any

import pytest
from httpx import AsyncClient

from app.api.dialects import score
from app.rerank.query import probability
from tests.desk import Desk

pytestmark = pytest.mark.anyio

QUERY = "how long may I keep the book?"
TEXTS = ["The library opens at nine.", "Books are lent for four weeks.", "A river."]
ASKED = {"query": QUERY, "documents": TEXTS}


async def post(client: AsyncClient, path: str, body: Any, **headers: str) -> Any:
    response = await client.post(path, json=body, headers=headers)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.fixture
async def logits(client: AsyncClient) -> list[float]:
    answer = await post(client, "/rerank", ASKED | {"score": "logit"})
    return [
        one["relevance_score"] for one in sorted(answer["results"], key=lambda one: one["index"])
    ]


@pytest.fixture
def order(logits: list[float]) -> list[int]:
    return sorted(range(len(logits)), key=lambda index: -logits[index])


def indices(results: list[Any]) -> list[int]:
    return [one["index"] for one in results]


# --- Cohere -------------------------------------------------------------------------------


async def test_cohere_2_ranks_and_bills_whole_search_units(
    client: AsyncClient, order: list[int], logits: list[float]
) -> None:
    body = ASKED | {"model": "rerank-v3.5", "top_n": 2, "priority": 3, "max_tokens_per_doc": 4096}
    answer = await post(client, "/v2/rerank", body)
    assert indices(answer["results"]) == order[:2]
    assert set(answer["results"][0]) == {"index", "relevance_score"}
    assert answer["results"][0]["relevance_score"] == pytest.approx(probability(max(logits)))
    meta = answer["meta"]
    assert meta["api_version"] == {"version": "2"}
    assert meta["billed_units"]["search_units"] == 1
    assert meta["tokens"]["input_tokens"] > len(TEXTS)


async def test_cohere_bills_a_unit_for_each_hundred_documents(client: AsyncClient) -> None:
    answer = await post(client, "/v2/rerank", {"query": "q", "documents": ["a"] * 101})
    assert answer["meta"]["billed_units"]["search_units"] == 2


async def test_cohere_1_ranks_by_the_fields_it_is_told(client: AsyncClient) -> None:
    rows = [{"title": "Rules", "body": text, "page": 3} for text in TEXTS]
    body = {"query": QUERY, "documents": rows, "return_documents": True}
    by_body = await post(client, "/v1/rerank", body | {"rank_fields": ["body"]})
    plain = await post(client, "/v1/rerank", ASKED, **{"x-fern-sdk-name": "cohere"})
    assert by_body["meta"]["api_version"] == {"version": "1"}
    for one, same in zip(by_body["results"], plain["results"], strict=True):
        assert one["relevance_score"] == pytest.approx(same["relevance_score"])
        assert one["document"] == rows[one["index"]]
        assert "document" not in same
    by_both = await post(client, "/v1/rerank", body | {"rank_fields": ["title", "body"]})
    joined = [f"title: Rules\nbody: {text}" for text in TEXTS]
    same = await post(client, "/v1/rerank", {"query": QUERY, "documents": joined})
    assert [one["relevance_score"] for one in by_both["results"]] == pytest.approx(
        [one["relevance_score"] for one in same["results"]]
    )


async def test_what_was_cut_is_among_cohere_s_warnings(client: AsyncClient) -> None:
    answer = await post(client, "/v2/rerank", {"query": "q", "documents": ["a", "book " * 500]})
    assert answer["meta"]["warnings"] == ["cut to fit the model: documents [1]"]


# --- Jina, Voyage -------------------------------------------------------------------------


async def test_jina_echoes_documents_as_objects_unless_told_not_to(
    client: AsyncClient, order: list[int]
) -> None:
    body = {"query": {"text": QUERY}, "documents": [{"text": text} for text in TEXTS]}
    answer = await post(client, "/jina/v1/rerank", body)
    assert indices(answer["results"]) == order
    assert [one["document"] for one in answer["results"]] == [{"text": TEXTS[i]} for i in order]
    assert answer["usage"]["total_tokens"] > 0
    bare = await post(client, "/jina/v1/rerank", body | {"return_documents": False})
    assert all("document" not in one for one in bare["results"])


async def test_a_body_that_could_be_anybodys_is_answered_to_everybody(
    client: AsyncClient, order: list[int]
) -> None:
    answer = await post(client, "/v1/rerank", ASKED | {"top_n": 2})
    assert answer["object"] == "list"
    assert answer["results"] == answer["data"]
    assert indices(answer["data"]) == order[:2]
    assert isinstance(answer["meta"]["billed_units"]["search_units"], int)
    assert all("document" not in one for one in answer["results"])


async def test_voyage_reads_top_k_and_answers_in_data(
    client: AsyncClient, order: list[int]
) -> None:
    body = ASKED | {"top_k": 2, "truncation": True, "return_documents": True}
    answer = await post(client, "/v1/rerank", body)
    assert answer["object"] == "list"
    assert indices(answer["data"]) == order[:2]
    assert answer["data"][0]["document"] == TEXTS[order[0]]
    assert answer["usage"]["total_tokens"] > 0


async def test_no_empty_string_is_in_an_answer_to_voyage(client: AsyncClient) -> None:
    body = {"query": "q", "documents": ["", "a"], "top_k": None, "return_documents": True}
    answer = await post(client, "/v1/rerank", body)
    assert answer["data"][1] == {"index": 0, "relevance_score": 0.0}


# --- Text Embeddings Inference, Infinity --------------------------------------------------


async def test_tei_answers_a_bare_list_with_its_times_in_headers(
    client: AsyncClient, order: list[int]
) -> None:
    body = {"query": QUERY, "texts": TEXTS, "return_text": True}
    for path in ("/rerank", "/", "/invocations", "/tei/rerank"):
        response = await client.post(path, json=body)
        assert indices(response.json()) == order
        assert response.json()[0]["text"] == TEXTS[order[0]]
    for name in ("compute", "total", "tokenization", "queue", "inference"):
        assert int(response.headers[f"x-{name}-time"]) >= 0
    assert int(response.headers["x-compute-tokens"]) > 0
    assert int(response.headers["x-compute-characters"]) == sum(
        len(QUERY) + len(text) for text in TEXTS
    )


async def test_tei_gives_logits_on_request(
    client: AsyncClient, order: list[int], logits: list[float]
) -> None:
    answer = await post(client, "/rerank", {"query": QUERY, "texts": TEXTS, "raw_scores": True})
    assert [one["score"] for one in answer] == pytest.approx([logits[i] for i in order])
    assert "text" not in answer[0]


async def test_among_equals_the_last_comes_first_for_tei_alone(client: AsyncClient) -> None:
    answer = await post(client, "/rerank", {"query": "q", "texts": ["a", "a", "a"]})
    assert indices(answer) == [2, 1, 0]
    same = await post(client, "/rerank", {"query": "q", "documents": ["a", "a", "a"]})
    assert indices(same["results"]) == [0, 1, 2]


async def test_tei_cuts_on_the_side_it_is_told(client: AsyncClient) -> None:
    body = {"query": "q", "texts": [TEXTS[1] + " river" * 99, "a"], "truncation_direction": "Left"}
    left = await post(client, "/rerank", body)
    right = await post(client, "/rerank", body | {"truncation_direction": "right"})
    assert {one["score"] for one in left} != {one["score"] for one in right}


async def test_infinity_answers_documents_as_texts(
    client: AsyncClient, order: list[int], logits: list[float]
) -> None:
    body = ASKED | {"raw_scores": True, "return_documents": True, "model": "m", "top_n": 2}
    answer = await post(client, "/rerank", body)
    assert answer["object"] == "rerank"
    assert answer["id"].startswith("infinity-")
    assert answer["created"] > 1_700_000_000
    assert indices(answer["results"]) == order[:2]
    assert answer["results"][0]["document"] == TEXTS[order[0]]
    assert answer["results"][0]["relevance_score"] == pytest.approx(max(logits))
    assert answer["usage"]["prompt_tokens"] == answer["usage"]["total_tokens"] > 0


# --- vLLM, llama.cpp, NIM -----------------------------------------------------------------


@pytest.mark.parametrize("path", ["/vllm/rerank", "/vllm/v1/rerank", "/vllm/v2/rerank"])
async def test_vllm_always_echoes_documents(
    client: AsyncClient, order: list[int], path: str
) -> None:
    part = {"content": [{"type": "text", "text": TEXTS[2]}]}
    body = {"query": QUERY, "documents": [*TEXTS[:2], part], "top_n": 0, "priority": -3}
    answer = await post(client, path, body)
    assert indices(answer["results"]) == order
    assert answer["results"][0]["document"] == {"text": TEXTS[order[0]], "multi_modal": None}
    assert answer["usage"]["prompt_tokens"] == answer["usage"]["total_tokens"]


@pytest.mark.parametrize(
    "body",
    [
        {"text_1": QUERY, "text_2": TEXTS},
        {"data_1": [QUERY], "data_2": TEXTS},
        {"queries": [QUERY] * 3, "documents": TEXTS},
        {"queries": QUERY, "items": [{"content": [{"type": "text", "text": t}]} for t in TEXTS]},
    ],
)
@pytest.mark.parametrize("path", ["/score", "/v1/score", "/vllm/score"])
@pytest.mark.parametrize("activation", ["use_activation", "activation"])
async def test_vllm_s_score_keeps_the_order_given(
    client: AsyncClient, logits: list[float], path: str, body: dict[str, Any], activation: str
) -> None:
    answer = await post(client, path, body | {activation: False})
    assert [one["score"] for one in answer["data"]] == pytest.approx(logits)
    assert indices(answer["data"]) == [0, 1, 2]
    assert answer["object"] == "list"
    assert answer["usage"]["total_tokens"] > 0


async def test_vllm_s_score_pairs_many_with_as_many(client: AsyncClient) -> None:
    questions = [QUERY, "which river?", QUERY]
    answer = await post(client, "/score", {"text_1": questions, "text_2": TEXTS})
    for index, (question, text) in enumerate(zip(questions, TEXTS, strict=True)):
        alone = await post(client, "/score", {"text_1": question, "text_2": text})
        assert answer["data"][index]["score"] == pytest.approx(alone["data"][0]["score"], abs=1e-5)


def test_pairs_with_the_same_first_text_are_one_query_wherever_they_stand() -> None:
    queries = score.parse({"text_1": ["q", "r", "q", "r"], "text_2": ["a", "b", "c", "d"]})
    assert [(one.text, [document.text for document in one.documents]) for one in queries] == [
        ("q", ["a", "c"]),
        ("r", ["b", "d"]),
    ]


async def test_scores_that_are_too_much_together_are_refused_before_any_is_computed(
    desk: Desk,
) -> None:
    pairs = {"text_1": [f"question {number}" for number in range(8)], "text_2": ["book " * 20] * 8}
    async with desk.open(max_queue_tokens=100, max_documents=100) as client:
        registry, name = desk.app.state.metrics.registry, "rerankd_batch_seconds_count"
        before = registry.get_sample_value(name)  # those that warmed the engine up
        response = await client.post("/score", json=pairs)
        assert registry.get_sample_value(name) == before
    assert (response.status_code, response.json()["error"]["type"]) == (429, "overloaded")


@pytest.mark.parametrize("path", ["/reranking", "/v1/reranking", "/llamacpp/v1/rerank"])
async def test_llamacpp_gives_logits_and_never_documents(
    client: AsyncClient, order: list[int], logits: list[float], path: str
) -> None:
    answer = await post(client, path, ASKED | {"return_documents": True})
    assert [one["relevance_score"] for one in answer["results"]] == pytest.approx(
        [logits[i] for i in order]
    )
    assert set(answer["results"][0]) == {"index", "relevance_score"}
    assert answer["object"] == "list"


@pytest.mark.parametrize(
    "path", ["/v1/ranking", "/ranking", "/v1/retrieval/nvidia/a-model/reranking", "/nim/v1/ranking"]
)
async def test_nim_ranks_passages_by_logit(
    client: AsyncClient, order: list[int], logits: list[float], path: str
) -> None:
    passages = [{"text": text} for text in TEXTS]
    body = {"model": "m", "query": {"text": QUERY}, "passages": passages, "truncate": "END"}
    answer = await post(client, path, body)
    assert [one["logit"] for one in answer["rankings"]] == pytest.approx([logits[i] for i in order])
    assert indices(answer["rankings"]) == order


# --- Xinference, SGLang, Mixedbread, SiliconFlow ------------------------------------------


async def test_xinference_s_nulls_are_taken_for_absent(
    client: AsyncClient, order: list[int]
) -> None:
    nulls = dict.fromkeys(("top_n", "max_chunks_per_doc", "return_len"))
    body = ASKED | nulls | {"model": "m", "return_documents": True, "kwargs": "{}"}
    answer = await post(client, "/v1/rerank", body)
    assert indices(answer["results"]) == order
    assert answer["results"][0]["document"] == {"text": TEXTS[order[0]]}
    assert answer["meta"]["tokens"]["input_tokens"] > 0


async def test_sglang_answers_a_bare_list_with_documents(
    client: AsyncClient, order: list[int]
) -> None:
    answer = await post(client, "/sglang/v1/rerank", ASKED)
    assert indices(answer) == order
    assert [one["document"] for one in answer] == [TEXTS[i] for i in order]
    assert all(math.isfinite(one["score"]) and one["meta_info"] for one in answer)


async def test_mixedbread_reads_input_and_returns_it(client: AsyncClient, order: list[int]) -> None:
    body = {"query": QUERY, "input": TEXTS, "top_k": 2, "return_input": True}
    answer = await post(client, "/v1/reranking", body)
    assert indices(answer["data"]) == order[:2]
    assert answer["data"][0]["input"] == TEXTS[order[0]]
    assert answer["top_k"] == 2


async def test_siliconflow_answers_with_its_own_meta(client: AsyncClient, order: list[int]) -> None:
    answer = await post(client, "/v1/rerank", ASKED | {"overlap_tokens": 80})
    assert indices(answer["results"]) == order
    assert answer["meta"]["tokens"]["input_tokens"] > 0


# --- long documents -----------------------------------------------------------------------

LONG = "river " * 120 + TEXTS[1]


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/v1/rerank", {"max_chunks_per_doc": 10}),
        ("/xinference/v1/rerank", {"max_chunks_per_doc": 10}),
        ("/v1/rerank", {"max_chunks_per_doc": 10, "overlap_tokens": 80}),
    ],
)
async def test_chunks_let_the_end_of_a_long_document_count(
    client: AsyncClient, path: str, more: dict[str, Any]
) -> None:
    async def ask(**asked: Any) -> dict[str, Any]:
        body = {"query": QUERY, "documents": [LONG, "a"], **asked}
        answer: dict[str, Any] = await post(client, path, body)
        return answer

    cut, read = await ask(), await ask(**more)
    scores = [
        {one["index"]: one["relevance_score"] for one in answer["results"]}
        for answer in (cut, read)
    ]
    assert scores[0][0] != scores[1][0]
    assert scores[0][1] == pytest.approx(scores[1][1])
    tokens = [answer["meta"]["tokens"]["input_tokens"] for answer in (cut, read)]
    assert tokens[1] > 2 * tokens[0]
    assert not read["meta"].get("warnings")


@pytest.mark.parametrize("path", ["/v2/rerank", "/vllm/rerank"])
async def test_documents_are_shortened_to_max_tokens_per_doc(
    client: AsyncClient, path: str
) -> None:
    body = {"query": "q", "documents": ["book " * 40]}
    whole = await post(client, path, body)
    short = await post(client, path, body | {"max_tokens_per_doc": 16})
    assert whole["results"][0]["relevance_score"] != short["results"][0]["relevance_score"]


async def test_cohere_2_tells_which_sentences_made_a_document_score(client: AsyncClient) -> None:
    document = f"Dies ist ein Bücherregal. {TEXTS[1]} {TEXTS[2]}"
    body = {"query": QUERY, "documents": [document, TEXTS[0], ""]}
    plain = await post(client, "/v2/rerank", body)
    asked = {"mode": "enabled", "threshold": 0.0, "max_spans": 2}
    answer = await post(client, "/v2/rerank", body | {"relevant_spans": asked})
    by_index = {one["index"]: one["relevant_spans"] for one in answer["results"]}
    assert [one["relevance_score"] for one in answer["results"]] == pytest.approx(
        [one["relevance_score"] for one in plain["results"]]
    )
    spans = by_index[0]
    assert len(spans) == 2
    assert spans[0]["score"] >= spans[1]["score"]
    sentences = {"Dies ist ein Bücherregal.", TEXTS[1], TEXTS[2]}
    assert all(document[span["start"] : span["end"]] in sentences for span in spans)
    assert by_index[2] == []
    assert answer["meta"]["tokens"]["input_tokens"] > plain["meta"]["tokens"]["input_tokens"]
    alone = await post(client, "/v2/rerank", {"query": QUERY, "documents": [TEXTS[0]]})
    assert by_index[1][0]["score"] == pytest.approx(alone["results"][0]["relevance_score"])
    off = await post(client, "/v2/rerank", body | {"relevant_spans": {"mode": "disabled"}})
    assert "relevant_spans" not in off["results"][0]


async def test_by_setting_long_documents_are_read_in_windows_for_everybody(desk: Desk) -> None:
    body = {"query": QUERY, "documents": [LONG, "a"]}
    async with desk.open(long_documents="windows") as client:
        usage = (await post(client, "/rerank", body | {"truncate": False}))["usage"]
        assert (usage["truncated"], usage["total_tokens"] > 150) == (0, True)
        assert (await post(client, "/v1/rerank", body))["usage"]["total_tokens"] > 150
