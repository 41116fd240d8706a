"""`ranker`: who ranks, by the caller's choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.desk import Desk

pytestmark = pytest.mark.anyio

NOWHERE = "/nowhere/model"
DAY_SECONDS = 86_400


def body(**fields: Any) -> dict[str, Any]:
    return {"query": "q", "documents": ["a", "b", "c"], **fields}


async def ask(client: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    return await client.post("/rerank", json=body(**fields))


def assert_refused(response: httpx.Response, *parts: str) -> None:
    problem = response.json()
    assert (response.status_code, problem["type"], problem["field"]) == (422, "invalid", "ranker")
    assert [part for part in parts if part not in problem["detail"]] == []


async def test_without_a_fallback_the_choice_of_one_is_refused(desk: Desk) -> None:
    async with desk.open(fallback_on_request=True) as client:
        assert_refused(await ask(client, ranker="fallback"), "no fallback", "RERANKD_FALLBACK")


async def test_a_fallback_is_no_choice_until_the_setting_allows_it(desk: Desk, model: Path) -> None:
    async with desk.listening() as there, Desk(model).open(fallback=there) as client:
        assert_refused(await ask(client, ranker="fallback"), "RERANKD_FALLBACK_ON_REQUEST")
        info = (await client.get("/info")).json()
    assert info["fallback_on_request"] is False


async def test_the_chosen_fallback_ranks_though_the_local_model_is_ready(
    desk: Desk, model: Path
) -> None:
    async with (
        desk.listening() as there,
        Desk(model).open(fallback=there, fallback_on_request=True) as client,
    ):
        info = (await client.get("/info")).json()
        chosen, usual = await ask(client, ranker="fallback"), await ask(client)
    assert (info["fallback"], info["fallback_on_request"]) == ("rerankd", True)
    assert (chosen.status_code, chosen.json()["reranked_by"]) == (200, "rerankd")
    assert chosen.headers["X-Reranked-By"] == "rerankd"
    assert (usual.status_code, "reranked_by" in usual.json()) == (200, False)


async def test_the_chosen_local_model_never_passes_texts_on(desk: Desk, model: Path) -> None:
    async with desk.listening() as there:
        async with Desk(model).open(fallback=there) as client:
            ranked = await ask(client, ranker="local")
        async with Desk(model).open(model=NOWHERE, fallback=there) as client:
            refused, usual = await ask(client, ranker="local"), await ask(client)
    assert (ranked.status_code, "reranked_by" in ranked.json()) == (200, False)
    assert (refused.status_code, refused.json()["type"]) == (503, "engine_failed")
    assert usual.json()["reranked_by"] == "rerankd"


async def test_where_another_service_is_the_model_there_is_no_local_one(
    desk: Desk, model: Path
) -> None:
    async with desk.listening() as there, Desk(model).open(model=there) as client:
        assert_refused(await ask(client, ranker="local"), "no local model, rerankd ranks here")


async def test_a_choice_counts_in_the_documents_of_the_day(desk: Desk, model: Path) -> None:
    settings = {"fallback_on_request": True, "fallback_daily_documents": 4}
    async with desk.listening() as there, Desk(model).open(fallback=there, **settings) as client:
        first = await ask(client, ranker="fallback")
        second = await ask(client, ranker="fallback")
        larger = await ask(client, ranker="fallback", documents=["a"] * 5)
        metrics = (await client.get("/metrics")).text
    assert (first.status_code, second.status_code, larger.status_code) == (200, 429, 429)
    assert second.json()["type"] == "fallback_spent"
    assert second.json()["limit"] == 4
    assert "3 documents, and the fallback takes 1 more today, of 4" in second.json()["detail"]
    assert 0 < int(second.headers["Retry-After"]) <= DAY_SECONDS
    assert "Retry-After" not in larger.headers  # no day has room for it
    assert 'rerankd_fallback_documents_total{outcome="sent"} 3.0' in metrics
    assert 'rerankd_refusals_total{reason="fallback_spent"} 2.0' in metrics


async def test_what_the_fallback_cannot_do_is_refused_by_name(desk: Desk, model: Path) -> None:
    async with (
        desk.listening() as there,
        Desk(model).open(fallback=there, fallback_on_request=True) as client,
    ):
        refused = await ask(client, ranker="fallback", score="calibrated")
        unreachable = await client.post("/rerank", json=body(ranker="another"))
    assert (refused.status_code, refused.json()["field"]) == (422, "score")
    assert_refused(unreachable, "local", "fallback")


async def test_a_fallback_that_fails_is_not_replaced_by_the_local_model(desk: Desk) -> None:
    settings = {"fallback": "http://127.0.0.1:9", "fallback_on_request": True}
    async with desk.open(**settings) as client:
        failed = await ask(client, ranker="fallback")
    assert (failed.status_code, failed.json()["type"]) == (502, "upstream_failed")


async def test_a_service_that_is_leaving_gives_no_choice(desk: Desk) -> None:
    async with desk.open() as client:
        await desk.app.state.wiring.service.drain(0)
        refused = await ask(client, ranker="local")
    assert (refused.status_code, refused.json()["type"]) == (503, "draining")


async def test_the_other_dialects_have_no_such_field(desk: Desk) -> None:
    async with desk.open() as client:
        ranked = await client.post("/v2/rerank", json=body(ranker="fallback", model="m"))
    assert ranked.status_code == 200
