"""Requests as databases send them to a reranker, and what they read from the answer.

docs/how-to/databases.md has the configuration that makes them do so.
"""

from __future__ import annotations

import json
from string import Template
from typing import Any

import pytest
from httpx import AsyncClient

from tests.api.dialects.asking import QUERY, TEXTS, indices, post
from tests.docs.blocks import json_blocks

pytestmark = pytest.mark.anyio

PAGE = "docs/how-to/databases.md"
MANY = [f"note {number}" for number in range(33)]


# --- Milvus 2.6: model ranker. Its clients replace the path of the endpoint with /rerank. ---------


@pytest.mark.parametrize("more", [{}, {"truncate": True}, {"truncation_direction": "Left"}])
async def test_milvus_as_tei_s_client_reads_a_score_for_each_text(
    client: AsyncClient, logits: list[float], more: dict[str, Any]
) -> None:
    answer = await post(client, "/rerank", {"query": QUERY, "texts": TEXTS, **more})
    by_index = sorted(answer, key=lambda item: item["index"])
    assert indices(by_index) == [0, 1, 2]
    scores = [item["score"] for item in by_index]
    assert sorted(scores) == [scores[index] for index in argsort(logits)]


@pytest.mark.parametrize("more", [{}, {"truncate_prompt_tokens": 512}])
async def test_milvus_as_vllm_s_client_reads_a_score_for_each_document(
    client: AsyncClient, logits: list[float], more: dict[str, Any]
) -> None:
    answer = await post(client, "/rerank", {"query": QUERY, "documents": TEXTS, **more})
    assert isinstance(answer["id"], str)
    assert isinstance(answer["model"], str)
    assert answer["usage"]["total_tokens"] > 0
    by_index = sorted(answer["results"], key=lambda item: item["index"])
    # It takes the scores by their position after this sort, so none may be missing.
    assert indices(by_index) == [0, 1, 2]
    scores = [item["relevance_score"] for item in by_index]
    assert sorted(scores) == [scores[index] for index in argsort(logits)]


def argsort(values: list[float]) -> list[int]:
    return sorted(range(len(values)), key=values.__getitem__)


# --- Elasticsearch: the `custom` service of its inference API ------------------------------------


def elasticsearch_body(settings: dict[str, Any]) -> Any:
    """Elasticsearch puts values as JSON in the places of the template."""
    template = Template(settings["request"])
    return json.loads(template.substitute(query=json.dumps(QUERY), input=json.dumps(TEXTS)))


def at_path(answer: Any, path: str) -> list[Any]:
    """The values at `$.results[*].name`."""
    root, name = path.removeprefix("$.").split("[*].")
    return [item[name] for item in answer[root]]


async def test_elasticsearch_as_the_page_configures_it_finds_indices_and_scores(
    client: AsyncClient, order: list[int]
) -> None:
    (settings,) = (
        block["service_settings"] for block in json_blocks(PAGE) if block.get("service") == "custom"
    )
    path = settings["url"].removeprefix("http://rerankd:8000")
    answer = await post(client, path, elasticsearch_body(settings))
    parser = settings["response"]["json_parser"]
    assert at_path(answer, parser["reranked_index"]) == order
    scores = at_path(answer, parser["relevance_score"])
    assert scores == sorted(scores, reverse=True)
    assert all(score >= 0 for score in scores)  # Lucene accepts no other


# --- OpenSearch: a connector of ML Commons with its functions for Cohere -------------------------


async def test_opensearch_as_the_page_configures_it_finds_a_score_for_each_document(
    client: AsyncClient, order: list[int]
) -> None:
    (action,) = (block["actions"][0] for block in json_blocks(PAGE) if "actions" in block)
    # `connector.pre_process.cohere.rerank` fills these; a text stands between quotation marks.
    values = {
        "${parameters.query}": QUERY,
        "${parameters.documents}": json.dumps(TEXTS),
        "${parameters.model}": "rerankd",
        "${parameters.top_n}": str(len(TEXTS)),
    }
    body = action["request_body"]
    for name, value in values.items():
        body = body.replace(name, value)
    path = action["url"].removeprefix("http://rerankd:8000")
    answer = await post(client, path, json.loads(body))
    # `connector.post_process.cohere.rerank` sorts by index and keeps the scores.
    results = sorted(answer["results"], key=lambda result: result["index"])
    scores = [result["relevance_score"] for result in results]
    assert argsort([-score for score in scores]) == order
    assert len(scores) == len(TEXTS)


# --- Redpanda Connect: Cohere's client for Go ----------------------------------------------------


async def test_redpanda_connect_as_cohere_s_client_finds_texts_by_their_index(
    client: AsyncClient, order: list[int]
) -> None:
    body = {
        "model": "rerank-v3.5",
        "query": QUERY,
        "documents": TEXTS,
        "top_n": 2,
        "max_tokens_per_doc": 4096,
    }
    headers = {
        "Authorization": "Bearer any",
        "X-Fern-Language": "Go",
        "X-Fern-SDK-Name": "github.com/cohere-ai/cohere-go/v2",
    }
    answer = await post(client, "/v2/rerank", body, **headers)
    assert indices(answer["results"]) == order[:2]
    assert all(isinstance(result["relevance_score"], float) for result in answer["results"])


# --- Vespa: its hits, ranked by the caller -------------------------------------------------------


async def test_the_hits_of_vespa_are_ranked_as_objects_and_returned_whole(
    client: AsyncClient, order: list[int]
) -> None:
    hits = [
        {
            "id": f"id:docs:docs::{number}",
            "relevance": 0.5,
            "source": "docs",
            "fields": {"sddocname": "docs", "text": text},
        }
        for number, text in enumerate(TEXTS)
    ]
    documents = [
        {"id": hit["id"], **hit["fields"]} for hit in hits if isinstance(hit["fields"], dict)
    ]
    body = {"query": QUERY, "documents": documents, "top_n": 2, "return_documents": True}
    answer = await post(client, "/rerank", body)
    assert [result["id"] for result in answer["results"]] == [
        hits[index]["id"] for index in order[:2]
    ]
    assert answer["results"][0]["document"]["sddocname"] == "docs"


async def test_a_database_may_send_more_documents_than_its_batch(client: AsyncClient) -> None:
    answer = await post(client, "/rerank", {"query": QUERY, "texts": MANY})
    assert sorted(indices(answer)) == list(range(33))
