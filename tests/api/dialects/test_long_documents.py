"""Long documents in each dialect, over the whole service."""

from __future__ import annotations

from typing import Any

import pytest
from httpx import AsyncClient

from tests.api.dialects.asking import QUERY, TEXTS, post
from tests.desk import Desk

pytestmark = pytest.mark.anyio


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
    async def ask(**fields: Any) -> dict[str, Any]:
        body = {"query": QUERY, "documents": [LONG, "a"], **fields}
        answer: dict[str, Any] = await post(client, path, body)
        return answer

    cut, read = await ask(), await ask(**more)
    scores = [
        {result["index"]: result["relevance_score"] for result in answer["results"]}
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


async def test_cohere_2_gives_the_sentences_that_made_a_document_score(client: AsyncClient) -> None:
    document = f"Dies ist ein Bücherregal. {TEXTS[1]} {TEXTS[2]}"
    body = {"query": QUERY, "documents": [document, TEXTS[0], ""]}
    plain = await post(client, "/v2/rerank", body)
    wanted = {"mode": "enabled", "threshold": 0.0, "max_spans": 2}
    answer = await post(client, "/v2/rerank", body | {"relevant_spans": wanted})
    by_index = {result["index"]: result["relevant_spans"] for result in answer["results"]}
    assert [result["relevance_score"] for result in answer["results"]] == pytest.approx(
        [result["relevance_score"] for result in plain["results"]]
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


async def test_by_setting_long_documents_are_read_in_windows_in_every_dialect(desk: Desk) -> None:
    body = {"query": QUERY, "documents": [LONG, "a"]}
    async with desk.open(long_documents="windows") as client:
        usage = (await post(client, "/rerank", body | {"truncate": False}))["usage"]
        assert (usage["truncated"], usage["total_tokens"] > 150) == (0, True)
        assert (await post(client, "/v1/rerank", body))["usage"]["total_tokens"] > 150
