"""Requests as applications send them, and what they read from the answer."""

from __future__ import annotations

import pytest
from httpx import AsyncClient

from tests.api.dialects.asking import QUERY, TEXTS, indices, post

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank", "/v2/rerank"])
async def test_open_webui_finds_a_score_for_every_document_by_its_index(
    client: AsyncClient, path: str
) -> None:
    body = {"model": "reranker", "query": QUERY, "documents": TEXTS, "top_n": len(TEXTS)}
    user = {"X-OpenWebUI-User-Name": "Ada", "Authorization": "Bearer anything"}
    answer = await post(client, path, body, **user)
    assert sorted(indices(answer["results"])) == [0, 1, 2]
    assert all(0 < result["relevance_score"] < 1 for result in answer["results"])


@pytest.mark.parametrize("top_n", [None, 2])
@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank"])
async def test_dify_may_leave_top_n_null_and_finds_texts_in_documents(
    client: AsyncClient, path: str, top_n: int | None
) -> None:
    body = {
        "model": "m",
        "query": QUERY,
        "documents": TEXTS,
        "top_n": top_n,
        "return_documents": True,
    }
    answer = await post(client, path, body)
    assert len(answer["results"]) == (top_n or len(TEXTS))
    for result in answer["results"]:
        assert result["document"]["text"] == TEXTS[result["index"]]


async def test_dify_finds_a_reranker_behind_tei_s_info(client: AsyncClient) -> None:
    info = (await client.get("/tei/info")).json()
    assert "reranker" in info["model_type"]
    assert info["max_client_batch_size"] >= 1
    answer = await post(client, "/tei/rerank", {"query": QUERY, "texts": TEXTS})
    assert {result["index"] for result in answer} == {0, 1, 2}


async def test_ragflow_as_jina_s_client_finds_its_tokens(client: AsyncClient) -> None:
    body = {"model": "m", "query": QUERY, "documents": TEXTS, "top_n": len(TEXTS)}
    answer = await post(client, "/v1/rerank", body)
    assert len(answer["results"]) == len(TEXTS)
    assert answer["usage"]["total_tokens"] > 0


async def test_ragflow_as_xinference_s_client_spells_its_flags(client: AsyncClient) -> None:
    body = {
        "model": "m",
        "query": QUERY,
        "return_documents": "true",
        "return_len": "true",
        "documents": TEXTS,
    }
    answer = await post(client, "/v1/rerank", body)
    assert all(result["document"]["text"] == TEXTS[result["index"]] for result in answer["results"])
    assert answer["meta"]["tokens"]["input_tokens"] > 0


async def test_ragflow_as_nvidia_s_client_sends_top_n_too(client: AsyncClient) -> None:
    body = {
        "model": "m",
        "query": {"text": QUERY},
        "passages": [{"text": text} for text in TEXTS],
        "truncate": "END",
        "top_n": len(TEXTS),
    }
    answer = await post(client, "/v1/ranking", body)
    assert {result["index"] for result in answer["rankings"]} == {0, 1, 2}


async def test_ragflow_as_tei_s_client_sends_batches_of_eight(client: AsyncClient) -> None:
    body = {"query": QUERY, "texts": TEXTS * 3, "raw_scores": False, "truncate": True}
    answer = await post(client, "/rerank", body)
    assert len(answer) == 9
    assert all(0 < result["score"] < 1 for result in answer)


async def test_langchain4j_as_cohere_s_client_reads_the_search_units(client: AsyncClient) -> None:
    answer = await post(client, "/v1/rerank", {"model": "m", "query": QUERY, "documents": TEXTS})
    assert sorted(indices(answer["results"])) == [0, 1, 2]
    assert all(isinstance(result["relevance_score"], float) for result in answer["results"])
    assert answer["meta"]["billed_units"]["search_units"] == 1


async def test_langchain4j_as_jina_s_client_reads_both_counts_of_tokens(
    client: AsyncClient,
) -> None:
    body = {"model": "m", "query": QUERY, "documents": TEXTS, "return_documents": False}
    answer = await post(client, "/v1/rerank", body)
    assert sorted(indices(answer["results"])) == [0, 1, 2]
    assert answer["usage"]["prompt_tokens"] == answer["usage"]["total_tokens"] > 0


async def test_langchain4j_as_voyage_s_client_reads_data(client: AsyncClient) -> None:
    """`truncation` is what tells this API from the others of its path."""
    body = {"query": QUERY, "documents": TEXTS, "model": "m", "top_k": 3, "truncation": True}
    answer = await post(client, "/v1/rerank", body)
    assert sorted(indices(answer["data"])) == [0, 1, 2]
    assert answer["usage"]["total_tokens"] > 0
