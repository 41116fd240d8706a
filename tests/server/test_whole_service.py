"""The limits of connections as the whole service has them, over real sockets."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import httpx
import pytest

from tests.desk import Desk
from tests.server.wire import connected, exchange, post

pytestmark = pytest.mark.anyio

BODY = json.dumps({"query": "q", "documents": ["a", "b"]}).encode()
JSON = "Content-Type: application/json"
CLOSE = "Connection: close"


def address_of(url: str) -> tuple[str, int]:
    host, port = url.removeprefix("http://").split(":")
    return host, int(port)


def closed_for(desk: Desk, reason: str) -> float | None:
    count: float | None = desk.app.state.wiring.metrics.registry.get_sample_value(
        "rerankd_connections_closed_total", {"reason": reason}
    )
    return count


class Slow:
    """A reranker that never ends by itself."""

    name = "slow"

    def __init__(self) -> None:
        self.working, self.cancelled = asyncio.Event(), asyncio.Event()

    async def rank(self, query: Any) -> None:
        self.working.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()


async def test_each_limit_is_a_setting_and_what_it_closes_is_counted(desk: Desk) -> None:
    settings: Any = {"max_header_bytes": 2048, "header_seconds": 0.1, "body_idle_seconds": 0.1}
    async with desk.listening(**settings) as url:
        address = address_of(url)
        answers = [
            await exchange(address, b"GET /" + b"a" * 3000),
            await exchange(address, b"GET / HTTP/1.1\r\n"),
            await exchange(address, post(BODY, JSON, path="/rerank", size=1000)),
            await exchange(address, b"nonsense\r\n\r\n"),
        ]
        assert [answer[9:12] for answer in answers] == [b"431", b"408", b"408", b"400"]
        for reason in ("header_too_large", "header_timeout", "body_timeout", "malformed_http"):
            assert closed_for(desk, reason) == 1


async def test_open_connections_and_unread_answers_are_gauges(desk: Desk) -> None:
    async with desk.listening() as url, httpx.AsyncClient(base_url=url) as client:
        async with connected(address_of(url)):
            lines = (await client.get("/metrics")).text.splitlines()
        assert "rerankd_connections 2.0" in lines
        assert "rerankd_unread_answer_bytes 0.0" in lines


async def test_a_body_out_of_time_is_a_408_in_the_log_and_in_the_metrics(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with desk.listening(body_idle_seconds=0.1) as url:
        await exchange(address_of(url), post(BODY, JSON, path="/rerank", size=1000))
    lines = [record.__dict__["fields"] for record in caplog.records if record.msg == "request"]
    (outcome,) = [(line["status"], line["outcome"]) for line in lines]
    assert outcome == (408, "request_timeout")


@pytest.mark.parametrize("extra", [b"", b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"])
async def test_work_for_a_caller_that_has_gone_is_cancelled_also_behind_a_second_request(
    desk: Desk, extra: bytes
) -> None:
    slow = Slow()
    async with asyncio.timeout(20), desk.listening() as url:
        desk.app.state.wiring.service.reranker = lambda: slow
        async with connected(address_of(url)) as (_, writer):
            writer.write(post(BODY, JSON, path="/rerank") + extra)
            await slow.working.wait()
        await slow.cancelled.wait()


async def test_when_all_connections_are_busy_probes_and_metrics_are_served(desk: Desk) -> None:
    slow = Slow()
    async with asyncio.timeout(20), desk.listening(max_connections=1) as url:
        desk.app.state.wiring.service.reranker = lambda: slow
        address = address_of(url)
        async with connected(address) as (_, writer):
            writer.write(post(BODY, JSON, path="/rerank"))
            await slow.working.wait()
            for path in ("/healthz", "/readyz", "/metrics", "/health", "/ping"):
                probe = f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
                assert (await exchange(address, probe)).startswith(b"HTTP/1.1 200 OK")
            refused = await exchange(address, post(BODY, JSON, path="/rerank"))
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b'"type":"too_many_connections"' in refused


async def test_a_connection_serves_many_requests_of_a_pool(desk: Desk) -> None:
    async with desk.listening() as url, httpx.AsyncClient(base_url=url) as client:
        answers = [
            await client.post("/rerank", content=BODY, headers={"Content-Type": "application/json"})
            for _ in range(20)
        ]
        alive = (await client.get("/metrics")).text
    assert {answer.status_code for answer in answers} == {200}
    assert "rerankd_connections 1.0" in alive.splitlines()


async def test_a_drain_waits_for_no_body_that_is_still_being_sent(desk: Desk) -> None:
    async with (
        asyncio.timeout(20),
        desk.listening() as url,
        httpx.AsyncClient(base_url=url) as client,
        connected(address_of(url)) as (_, writer),
    ):
        writer.write(post(b"{", JSON, path="/rerank", size=1000))
        while "rerankd_requests_in_flight 2.0" not in (await client.get("/metrics")).text:
            pass
        async with asyncio.timeout(5):
            await desk.app.state.wiring.service.drain(15)
