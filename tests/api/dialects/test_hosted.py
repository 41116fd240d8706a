"""What the formats of hosted services are sent, and what they answer, over the whole service."""

from __future__ import annotations

import pytest
from httpx import AsyncClient

from app.rerank.query import probability
from tests.api.dialects.asking import BODY, QUERY, TEXTS, indices, post

pytestmark = pytest.mark.anyio


# --- Cohere -------------------------------------------------------------------------------


async def test_cohere_2_ranks_and_bills_whole_search_units(
    client: AsyncClient, order: list[int], logits: list[float]
) -> None:
    body = BODY | {"model": "rerank-v3.5", "top_n": 2, "priority": 3, "max_tokens_per_doc": 4096}
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


async def test_cohere_1_ranks_by_the_fields_that_the_request_names(client: AsyncClient) -> None:
    rows = [{"title": "Rules", "body": text, "page": 3} for text in TEXTS]
    body = {"query": QUERY, "documents": rows, "return_documents": True}
    by_body = await post(client, "/v1/rerank", body | {"rank_fields": ["body"]})
    plain = await post(client, "/v1/rerank", BODY, **{"x-fern-sdk-name": "cohere"})
    assert by_body["meta"]["api_version"] == {"version": "1"}
    for result, same in zip(by_body["results"], plain["results"], strict=True):
        assert result["relevance_score"] == pytest.approx(same["relevance_score"])
        assert result["document"] == rows[result["index"]]
        assert "document" not in same
    by_both = await post(client, "/v1/rerank", body | {"rank_fields": ["title", "body"]})
    joined = [f"title: Rules\nbody: {text}" for text in TEXTS]
    same = await post(client, "/v1/rerank", {"query": QUERY, "documents": joined})
    assert [result["relevance_score"] for result in by_both["results"]] == pytest.approx(
        [result["relevance_score"] for result in same["results"]]
    )


async def test_what_was_cut_is_among_cohere_s_warnings(client: AsyncClient) -> None:
    answer = await post(client, "/v2/rerank", {"query": "q", "documents": ["a", "book " * 500]})
    assert answer["meta"]["warnings"] == ["cut to fit the model: documents [1]"]


# --- Jina, Voyage -------------------------------------------------------------------------


async def test_jina_echoes_documents_as_objects_by_default(
    client: AsyncClient, order: list[int]
) -> None:
    body = {"query": {"text": QUERY}, "documents": [{"text": text} for text in TEXTS]}
    answer = await post(client, "/jina/v1/rerank", body)
    assert indices(answer["results"]) == order
    assert [result["document"] for result in answer["results"]] == [
        {"text": TEXTS[i]} for i in order
    ]
    assert answer["usage"]["total_tokens"] > 0
    bare = await post(client, "/jina/v1/rerank", body | {"return_documents": False})
    assert all("document" not in result for result in bare["results"])


async def test_a_body_of_no_single_dialect_gets_an_answer_for_clients_of_all(
    client: AsyncClient, order: list[int]
) -> None:
    answer = await post(client, "/v1/rerank", BODY | {"top_n": 2})
    assert answer["object"] == "list"
    assert answer["results"] == answer["data"]
    assert indices(answer["data"]) == order[:2]
    assert isinstance(answer["meta"]["billed_units"]["search_units"], int)
    assert all("document" not in result for result in answer["results"])


async def test_voyage_reads_top_k_and_answers_in_data(
    client: AsyncClient, order: list[int]
) -> None:
    body = BODY | {"top_k": 2, "truncation": True, "return_documents": True}
    answer = await post(client, "/v1/rerank", body)
    assert answer["object"] == "list"
    assert indices(answer["data"]) == order[:2]
    assert answer["data"][0]["document"] == TEXTS[order[0]]
    assert answer["usage"]["total_tokens"] > 0


async def test_no_empty_string_is_in_an_answer_to_voyage(client: AsyncClient) -> None:
    body = {"query": "q", "documents": ["", "a"], "top_k": None, "return_documents": True}
    answer = await post(client, "/v1/rerank", body)
    assert answer["data"][1] == {"index": 0, "relevance_score": 0.0}


# --- Mixedbread, SiliconFlow ---------------------------------------------------------------


async def test_mixedbread_reads_input_and_returns_it(client: AsyncClient, order: list[int]) -> None:
    body = {"query": QUERY, "input": TEXTS, "top_k": 2, "return_input": True}
    answer = await post(client, "/v1/reranking", body)
    assert indices(answer["data"]) == order[:2]
    assert answer["data"][0]["input"] == TEXTS[order[0]]
    assert answer["top_k"] == 2


async def test_siliconflow_answers_with_its_own_meta(client: AsyncClient, order: list[int]) -> None:
    answer = await post(client, "/v1/rerank", BODY | {"overlap_tokens": 80})
    assert indices(answer["results"]) == order
    assert answer["meta"]["tokens"]["input_tokens"] > 0
