"""Who may reach what, and with which methods."""

from __future__ import annotations

import asyncio
import logging

import httpx
import pytest
from httpx import AsyncClient

from app.api.hosts import without_port
from tests.desk import Desk

pytestmark = pytest.mark.anyio

BODY = {"query": "q", "documents": ["a", "b"]}
BEARER = {"Authorization": "Bearer scrape"}
PROBES = ("/healthz", "/readyz", "/health", "/ping", "/v1/health/live", "/v1/health/ready")


# --- the metrics' key ---------------------------------------------------------------------


async def test_metrics_ask_for_their_own_key_where_there_is_one(desk: Desk) -> None:
    async with desk.open(api_keys="ask", metrics_key="scrape") as client:
        for headers in ({}, {"Authorization": "Bearer ask"}, {"X-API-Key": "other"}):
            refused = await client.get("/metrics", headers=headers)
            assert (refused.status_code, refused.json()["type"]) == (401, "unauthorized")
        for headers in (BEARER, {"X-API-Key": "scrape"}):
            assert (await client.get("/metrics", headers=headers)).status_code == 200


async def test_the_metrics_key_opens_nothing_else(desk: Desk) -> None:
    async with desk.open(api_keys="ask", metrics_key="scrape") as client:
        assert (await client.post("/rerank", json=BODY, headers=BEARER)).status_code == 401
        assert (await client.get("/info", headers=BEARER)).status_code == 401


async def test_the_metrics_key_alone_locks_only_the_metrics(desk: Desk) -> None:
    async with desk.open(metrics_key="scrape") as client:
        assert (await client.get("/metrics")).status_code == 401
        assert (await client.post("/rerank", json=BODY)).status_code == 200


@pytest.mark.parametrize(
    ("settings", "locked"),
    [
        ({}, set()),
        ({"api_keys": "ask"}, {"/rerank", "/info"}),
        ({"metrics_key": "scrape"}, {"/metrics"}),
        ({"api_keys": "ask", "metrics_key": "scrape"}, {"/rerank", "/info", "/metrics"}),
    ],
)
async def test_the_schema_says_which_paths_ask_for_a_key(
    desk: Desk, settings: dict[str, str], locked: set[str]
) -> None:
    async with desk.open(**settings) as client:
        schema = (await client.get("/openapi.json")).json()
    for path in ("/rerank", "/info", "/metrics", "/healthz"):
        (operation,) = schema["paths"][path].values()
        assert ("security" in operation, "401" in operation["responses"]) == (path in locked,) * 2
    assert ("securitySchemes" in schema["components"]) == bool(locked)


# --- hosts --------------------------------------------------------------------------------


async def test_any_host_is_answered_unless_some_are_named(client: AsyncClient) -> None:
    answer = await client.get("/info", headers={"Host": "anything.example"})
    assert answer.status_code == 200


OURS = ("rank.example", "RANK.example:8000", "a.pool.example", "[::1]:8000", "10.0.0.7")
OTHERS = ("evil.example", "rank.example.evil.example", "pool.example", "", "rank.example:x", ":")


async def test_named_hosts_are_answered_and_others_are_a_problem_with_an_id_and_a_line(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    names = "rank.example, *.pool.example, [::1], 10.0.0.7"
    async with desk.open(allowed_hosts=names) as client:
        for host in OURS:
            answer = await client.post("/rerank", json=BODY, headers={"Host": host})
            assert answer.status_code == 200, host
        for host in OTHERS:
            caplog.clear()
            refused = await client.post("/rerank", json=BODY, headers={"Host": host})
            assert (refused.status_code, refused.json()["type"]) == (421, "wrong_host"), host
            assert refused.json()["request_id"] == refused.headers["X-Request-ID"]
            (line,) = [record for record in caplog.records if record.name == "rerankd.access"]
            assert line.__dict__["fields"]["outcome"] == "wrong_host"
        for path in PROBES:  # balancers ask by an address
            assert (await client.get(path)).status_code == 200, path
        assert (await client.get("/metrics")).status_code == 421


def test_a_port_is_no_part_of_a_name() -> None:
    hosts = ("a:80", "a", "[::1]:80", "[::1]", "::1", "a:b", "")
    assert [without_port(host) for host in hosts] == ["a", "a", "[::1]", "[::1]", "::1", "a:b", ""]


# --- paths and methods --------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/rerank/", "/healthz/", "/docs/", "//rerank"])
async def test_a_path_with_a_slash_too_many_is_not_found_and_never_redirected(
    client: AsyncClient, path: str
) -> None:
    send = client.post if "rerank" in path else client.get
    answer = await send(f"http://test{path}", headers={"Host": "evil.example"})
    assert (answer.status_code, answer.json()["type"]) == (404, "not_found")
    assert "Location" not in answer.headers


@pytest.mark.parametrize("path", [*PROBES, "/metrics", "/info", "/docs", "/v1/models"])
async def test_head_is_answered_as_get_is_without_a_body(client: AsyncClient, path: str) -> None:
    head, get = await client.head(path), await client.get(path)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers["Content-Type"] == get.headers["Content-Type"]


async def test_head_tells_a_balancer_that_the_service_drains(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with desk.open() as client:
        await desk.app.state.wiring.service.drain(0)
        refused = await client.head("/readyz")
    assert (refused.status_code, refused.content) == (503, b"")
    assert refused.headers["Retry-After"] == "1"
    line = [record for record in caplog.records if record.name == "rerankd.access"][-1]
    fields = line.__dict__["fields"]
    expected = ("HEAD", "/readyz", "draining")
    assert (fields["method"], fields["route"], fields["outcome"]) == expected


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_another_method_on_a_probe_is_405_and_says_which_there_are(
    client: AsyncClient, method: str
) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        refused = await client.request(method, path)
        assert (refused.status_code, refused.json()["type"]) == (405, "method_not_allowed")
        assert refused.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_another_method_where_bodies_are_posted_is_405(
    client: AsyncClient, method: str
) -> None:
    refused = await client.request(method, "/rerank")
    assert (refused.status_code, refused.headers["Allow"]) == (405, "POST")


async def test_over_a_socket_a_head_leaves_the_connection_usable(desk: Desk) -> None:
    """A body after a HEAD would be read as the next answer."""
    async with desk.listening() as url, httpx.AsyncClient(base_url=url) as client:
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        for method in (b"HEAD", b"HEAD", b"GET"):
            writer.write(method + b" /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert b"content-length: 15" in head
        assert await reader.readexactly(15) == b'{"status":"ok"}'
        writer.close()
        await writer.wait_closed()
