"""Weaviate's reranker wire, field by field as its module `reranker-transformers` reads it."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from httpx import AsyncClient

from tests.api.dialects.asking import QUERY, TEXTS, post
from tests.desk import Desk

pytestmark = pytest.mark.anyio

# What the module's client sends: `property` is always there, and empty.
BATCH = {"query": QUERY, "documents": TEXTS, "property": ""}


def read_as_weaviate(answer: dict[str, Any]) -> list[float]:
    """As the module's client does: types are strict, positions count, unknown keys are ignored."""
    assert isinstance(answer["query"], str)
    assert answer.get("error", "") == ""
    assert answer["property"] is None or isinstance(answer["property"], str)
    assert answer["score"] is None or isinstance(answer["score"], float)
    for entry in answer["scores"]:
        assert isinstance(entry["document"], str)
        assert isinstance(entry["score"], float)
    return [entry["score"] for entry in answer["scores"]]


@pytest.mark.parametrize("path", ["/rerank", "/weaviate/rerank"])
async def test_scores_come_in_the_order_of_the_request(
    client: AsyncClient, order: list[int], path: str
) -> None:
    answer = await post(client, path, BATCH)
    scores = read_as_weaviate(answer)
    assert [entry["document"] for entry in answer["scores"]] == TEXTS
    assert sorted(range(len(scores)), key=lambda index: -scores[index]) == order
    assert answer["query"] == QUERY


async def test_thirty_two_documents_are_a_full_request(client: AsyncClient) -> None:
    texts = [f"note {number}" for number in range(32)]
    answer = await post(client, "/rerank", BATCH | {"documents": texts})
    assert len(read_as_weaviate(answer)) == 32
    assert [entry["document"] for entry in answer["scores"]] == texts


async def test_equal_and_empty_documents_keep_their_positions(client: AsyncClient) -> None:
    texts = [TEXTS[1], "", TEXTS[1]]
    scores = read_as_weaviate(await post(client, "/rerank", BATCH | {"documents": texts}))
    assert scores[0] == scores[2] > scores[1] == 0.0


@pytest.mark.parametrize("documents", [{}, {"documents": None}])
async def test_a_property_alone_has_a_score_of_its_own(
    client: AsyncClient, documents: dict[str, None]
) -> None:
    body = {"query": QUERY, "property": TEXTS[1], **documents}
    answer = await post(client, "/rerank", body)
    (score,) = read_as_weaviate(await post(client, "/rerank", BATCH | {"documents": TEXTS[1:2]}))
    assert answer == {"query": QUERY, "property": TEXTS[1], "scores": None, "score": score}


async def test_an_error_is_a_text_that_weaviate_can_show(client: AsyncClient) -> None:
    for body in (BATCH | {"documents": [7]}, {"query": QUERY, "property": None}):
        response = await client.post("/weaviate/rerank", json=body)
        assert response.status_code == 422
        assert list(response.json()) == ["error"]
        assert response.json()["error"].startswith("documents")


@pytest.mark.parametrize("prefix", ["", "/weaviate"])
async def test_weaviate_waits_until_it_is_ready_and_shows_the_model(
    client: AsyncClient, prefix: str
) -> None:
    for name in ("live", "ready"):
        response = await client.get(f"{prefix}/.well-known/{name}")
        assert (response.status_code, response.content) == (204, b"")
    meta = (await client.get(f"{prefix}/meta")).json()
    assert set(meta) == {"model", "engine", "version"}


async def test_readiness_falls_while_draining_but_the_process_lives(desk: Desk) -> None:
    async with desk.open() as client:
        await desk.app.state.wiring.service.drain(0)
        assert (await client.get("/.well-known/ready")).status_code == 503
        assert (await client.get("/.well-known/live")).status_code == 204


def basic(text: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(text.encode()).decode()}"}


async def test_the_key_is_the_password_of_the_url_which_is_all_that_weaviate_can_be_given(
    desk: Desk,
) -> None:
    async with desk.open(api_keys="one") as client:
        for path in ("/.well-known/live", "/.well-known/ready"):
            assert (await client.get(path)).status_code == 204
        assert (await client.get("/meta")).status_code == 401
        response = await client.post("/rerank", json=BATCH, headers=basic("weaviate:one"))
        assert response.status_code == 200
        for text in ("weaviate:two", "one", "one:", ""):
            response = await client.post("/rerank", json=BATCH, headers=basic(text))
            assert response.status_code == 401


@pytest.mark.parametrize("encoded", ["", "one", "!", "/w=="])
async def test_a_login_that_cannot_be_read_is_no_key(desk: Desk, encoded: str) -> None:
    async with desk.open(api_keys="one") as client:
        headers = {"Authorization": f"Basic {encoded}"}
        assert (await client.post("/rerank", json=BATCH, headers=headers)).status_code == 401
