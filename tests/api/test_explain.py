from __future__ import annotations

import asyncio
from typing import Any

import pytest
from httpx import AsyncClient

from tests.remote.service import Service

pytestmark = pytest.mark.anyio

LONG = "A sentence about rivers. " * 400


async def explained(client: AsyncClient, *documents: Any, **options: Any) -> list[dict[str, Any]]:
    body = {"query": "rivers", "documents": documents, "explain": True, **options}
    answer = await client.post("/rerank", json=body)
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    return results


@pytest.mark.anyio
async def test_a_reading_has_the_tokens_and_the_sentences_of_a_text(client: AsyncClient) -> None:
    text = "Rivers flow. Lakes do not."
    (result,) = await explained(client, text)
    reading = result["reading"]
    assert reading["tokens"] == reading["read_tokens"] > 0
    assert (reading["start"], reading["end"]) == (0, len(text))
    parts = [text[part["start"] : part["end"]] for part in reading["sentences"]]
    assert sorted(parts) == ["Lakes do not.", "Rivers flow."]
    scores = [part["score"] for part in reading["sentences"]]
    assert scores == sorted(scores, reverse=True)
    assert "windows" not in reading


@pytest.mark.anyio
async def test_a_text_that_was_cut_says_where(client: AsyncClient) -> None:
    (right,) = await explained(client, LONG)
    (left,) = await explained(client, LONG, truncation_direction="left")
    assert right["reading"]["read_tokens"] < right["reading"]["tokens"]
    assert right["reading"]["start"] == 0 < right["reading"]["end"] < len(LONG)
    assert 0 < left["reading"]["start"] < left["reading"]["end"] == len(LONG)


@pytest.mark.anyio
async def test_a_text_in_windows_has_the_score_of_each(client: AsyncClient) -> None:
    (result,) = await explained(client, LONG, long_documents="windows")
    windows = result["reading"]["windows"]
    assert windows[0]["start"] == 0
    assert windows[-1]["end"] == len(LONG)
    best = max(part["score"] for part in windows)
    assert best == pytest.approx(result["relevance_score"], abs=1e-6)


@pytest.mark.anyio
async def test_positions_are_code_points(client: AsyncClient) -> None:
    text = "🌊🌊 first. Second 🌊."
    (result,) = await explained(client, text)
    parts = [text[part["start"] : part["end"]] for part in result["reading"]["sentences"]]
    assert sorted(parts) == ["Second 🌊.", "🌊🌊 first."]


@pytest.mark.anyio
async def test_an_answer_without_the_wish_has_no_readings(client: AsyncClient) -> None:
    answer = await client.post("/rerank", json={"query": "q", "documents": ["a"]})
    assert "reading" not in answer.json()["results"][0]


@pytest.mark.anyio
async def test_an_empty_document_has_no_reading(client: AsyncClient) -> None:
    results = await explained(client, "a text", "")
    assert [("reading" in result) for result in results] == [True, False]


def test_another_service_that_ranks_warns_that_it_explains_nothing() -> None:
    ranking = asyncio.run(Service().rank("cohere", "a", "bb", explain=True))
    assert [result.index for result in ranking.results] == [1, 0]
    assert any("explain was ignored" in warning for warning in ranking.warnings)
