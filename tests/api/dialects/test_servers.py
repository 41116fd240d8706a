"""What the formats of other servers are sent, and what they answer, over the whole service."""

from __future__ import annotations

import math
from typing import Any

import pytest
from httpx import AsyncClient

from app.api.dialects import score
from tests.api.dialects.asking import BODY, QUERY, TEXTS, indices, post
from tests.desk import Desk

pytestmark = pytest.mark.anyio


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
    assert [result["score"] for result in answer] == pytest.approx([logits[i] for i in order])
    assert "text" not in answer[0]


async def test_among_equals_the_last_comes_first_for_tei_alone(client: AsyncClient) -> None:
    answer = await post(client, "/rerank", {"query": "q", "texts": ["a", "a", "a"]})
    assert indices(answer) == [2, 1, 0]
    same = await post(client, "/rerank", {"query": "q", "documents": ["a", "a", "a"]})
    assert indices(same["results"]) == [0, 1, 2]


async def test_tei_cuts_on_the_side_that_the_request_names(client: AsyncClient) -> None:
    body = {"query": "q", "texts": [TEXTS[1] + " river" * 99, "a"], "truncation_direction": "Left"}
    left = await post(client, "/rerank", body)
    right = await post(client, "/rerank", body | {"truncation_direction": "right"})
    assert {result["score"] for result in left} != {result["score"] for result in right}


async def test_infinity_answers_documents_as_texts(
    client: AsyncClient, order: list[int], logits: list[float]
) -> None:
    body = BODY | {"raw_scores": True, "return_documents": True, "model": "m", "top_n": 2}
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
async def test_vllm_s_score_keeps_the_order_of_the_request(
    client: AsyncClient, logits: list[float], path: str, body: dict[str, Any], activation: str
) -> None:
    answer = await post(client, path, body | {activation: False})
    assert [result["score"] for result in answer["data"]] == pytest.approx(logits)
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
    assert [(query.text, [document.text for document in query.documents]) for query in queries] == [
        ("q", ["a", "c"]),
        ("r", ["b", "d"]),
    ]


async def test_scores_that_are_too_much_together_are_refused_before_any_is_computed(
    desk: Desk,
) -> None:
    pairs = {"text_1": [f"question {number}" for number in range(8)], "text_2": ["book " * 20] * 8}
    async with desk.open(max_queue_tokens=100, max_documents=100) as client:
        registry, name = desk.app.state.wiring.metrics.registry, "rerankd_batch_seconds_count"
        before = registry.get_sample_value(name)  # those that warmed the engine up
        response = await client.post("/score", json=pairs)
        assert registry.get_sample_value(name) == before
    assert (response.status_code, response.json()["error"]["type"]) == (429, "overloaded")


@pytest.mark.parametrize("path", ["/reranking", "/v1/reranking", "/llamacpp/v1/rerank"])
async def test_llamacpp_gives_logits_and_never_documents(
    client: AsyncClient, order: list[int], logits: list[float], path: str
) -> None:
    answer = await post(client, path, BODY | {"return_documents": True})
    assert [result["relevance_score"] for result in answer["results"]] == pytest.approx(
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
    assert [result["logit"] for result in answer["rankings"]] == pytest.approx(
        [logits[i] for i in order]
    )
    assert indices(answer["rankings"]) == order


# --- Xinference, SGLang --------------------------------------------------------------------


async def test_xinference_s_nulls_are_taken_for_absent(
    client: AsyncClient, order: list[int]
) -> None:
    nulls = dict.fromkeys(("top_n", "max_chunks_per_doc", "return_len"))
    body = BODY | nulls | {"model": "m", "return_documents": True, "kwargs": "{}"}
    answer = await post(client, "/v1/rerank", body)
    assert indices(answer["results"]) == order
    assert answer["results"][0]["document"] == {"text": TEXTS[order[0]]}
    assert answer["meta"]["tokens"]["input_tokens"] > 0


async def test_sglang_answers_a_bare_list_with_documents(
    client: AsyncClient, order: list[int]
) -> None:
    answer = await post(client, "/sglang/v1/rerank", BODY)
    assert indices(answer) == order
    assert [result["document"] for result in answer] == [TEXTS[i] for i in order]
    assert all(math.isfinite(result["score"]) and result["meta_info"] for result in answer)
