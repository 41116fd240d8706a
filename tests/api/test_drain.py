"""`POST /drain`: the same as SIGTERM, for a hook that can send a request but no signal."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.desk import Desk

pytestmark = pytest.mark.anyio

BODY = {"query": "q", "documents": ["a", "b"]}
ADMIN = {"Authorization": "Bearer admin"}


async def test_without_an_admin_key_nobody_can_end_the_service(desk: Desk) -> None:
    async with desk.open(api_keys="ask") as client:
        for headers in ({}, {"X-API-Key": "ask"}, {"X-API-Key": ""}):
            refused = await client.post("/drain", headers=headers)
            assert (refused.status_code, refused.json()["type"]) == (403, "disabled")
            assert "RERANKD_ADMIN_KEY" in refused.json()["detail"]
        assert (await client.get("/readyz")).status_code == 200


async def test_only_the_admin_key_drains_and_it_opens_nothing_else(desk: Desk) -> None:
    async with desk.open(api_keys="ask", metrics_key="scrape", admin_key="admin") as client:
        for key in ("", "ask", "scrape"):
            refused = await client.post("/drain", headers={"X-API-Key": key})
            assert (refused.status_code, refused.json()["type"]) == (401, "unauthorized")
        assert (await client.post("/rerank", json=BODY, headers=ADMIN)).status_code == 401
        assert (await client.get("/metrics", headers=ADMIN)).status_code == 401
        assert (await client.get("/readyz")).status_code == 200


async def test_a_browser_cannot_drain_by_a_link(desk: Desk) -> None:
    async with desk.open(admin_key="admin") as client:
        assert (await client.get("/drain", headers=ADMIN)).status_code == 405


async def test_the_schema_says_that_draining_needs_a_key(desk: Desk) -> None:
    async with desk.open(admin_key="admin") as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
    assert "security" in paths["/drain"]["post"]
    assert "security" not in paths["/rerank"]["post"]


async def test_a_service_that_leaves_is_not_ready_but_serves(desk: Desk) -> None:
    async with desk.open(admin_key="admin") as client:
        accepted = await client.post("/drain", headers=ADMIN)
        probes = [await client.get(path) for path in ("/readyz", "/health", "/ping")]
        answer = await client.post("/rerank", json=BODY)
        info = (await client.get("/info")).json()
        metrics = (await client.get("/metrics")).text
        again = await client.post("/drain", headers=ADMIN)
    assert (accepted.status_code, accepted.json()) == (202, {"status": "leaving"})
    assert [probe.status_code for probe in probes] == [503] * 3
    assert probes[0].json()["type"] == "draining"
    assert probes[0].headers["Retry-After"] == "1"
    assert (answer.status_code, len(answer.json()["results"])) == (200, 2)
    assert (info["state"], info["status"]) == (
        "leaving",
        "the service is shutting down; it still serves requests",
    )
    assert "rerankd_ready 0.0" in metrics
    assert again.status_code == 202


async def status_or_refused(client: httpx.AsyncClient) -> int:
    """0 if no connection can be opened."""
    try:
        return (await client.post("/rerank", json=BODY)).status_code
    except httpx.ConnectError:
        return 0


async def test_after_the_call_callers_are_served_on_connections_that_close_until_the_end(
    desk: Desk,
) -> None:
    async with (
        desk.listening(admin_key="admin", lame_duck_seconds=0.5) as url,
        httpx.AsyncClient(base_url=url, timeout=20) as client,
    ):
        kept = await client.post("/rerank", json=BODY)
        assert "Connection" not in kept.headers
        assert (await client.post("/drain", headers=ADMIN)).status_code == 202
        answer = await client.post("/rerank", json=BODY)
        assert (answer.status_code, answer.headers["Connection"]) == (200, "close")
        assert answer.json()["results"] == kept.json()["results"]
        async with asyncio.timeout(20):
            while status := await status_or_refused(client):
                assert status == 200


async def test_an_answer_that_takes_longer_than_the_lame_duck_time_is_still_given(
    desk: Desk,
) -> None:
    async with (
        desk.listening(admin_key="admin", lame_duck_seconds=0.05) as url,
        httpx.AsyncClient(base_url=url, timeout=20) as client,
    ):
        documents = [f"document {n}" for n in range(500)]
        long = asyncio.create_task(
            client.post("/rerank", json={"query": "q", "documents": documents})
        )
        while "rerankd_requests_in_flight 2.0" not in (await client.get("/metrics")).text:
            pass
        await client.post("/drain", headers=ADMIN)
        answer = await long
    assert (answer.status_code, len(answer.json()["results"])) == (200, 500)
