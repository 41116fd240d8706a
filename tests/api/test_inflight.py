"""Bodies in progress are held against one budget, and every byte is given back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from app.api.context import open_context
from app.api.inflight import VALUE_BYTES, Hold, HoldBodies, InflightBytes
from app.errors import QueueFull
from tests.desk import Desk
from tests.live.service import scrape_text

MIB = 2**20
JSON = {"Content-Type": "application/json"}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


# --- the estimate -------------------------------------------------------------------------


def test_what_does_not_fit_is_refused_and_changes_nothing() -> None:
    budget = InflightBytes(100)
    Hold(budget).cover(60)
    with pytest.raises(QueueFull, match="60 of 100 bytes"):
        Hold(budget).cover(41)
    assert budget.held == 60


def test_a_body_that_outgrows_what_it_announced_is_held_with_what_came() -> None:
    budget = InflightBytes(100)
    hold = Hold(budget)
    for came in (10, 10, 5, 30):
        hold.cover(came)
    assert budget.held == 30
    hold.release()
    hold.release()
    assert budget.held == 0


def test_the_time_to_come_back_follows_from_how_long_bodies_were_held() -> None:
    clock = Clock()
    budget = InflightBytes(100, clock)
    first, second = Hold(budget), Hold(budget)
    first.cover(50)
    clock.now = 8.0
    first.release()
    second.cover(80)
    with pytest.raises(QueueFull) as refused:
        Hold(budget).cover(60)
    # 40 of the 80 bytes that are held must go; bytes were held for 8 s of late.
    assert refused.value.retry_after == pytest.approx(8.0 * 40 / 80)


def test_before_any_body_was_answered_the_estimate_is_a_guess() -> None:
    budget = InflightBytes(100)
    Hold(budget).cover(100)
    with pytest.raises(QueueFull) as refused:
        Hold(budget).cover(100)
    assert refused.value.retry_after == 1.0


def test_many_values_are_held_as_the_memory_that_they_take() -> None:
    budget = InflightBytes(10_000)
    few, many, most = Hold(budget), Hold(budget), Hold(InflightBytes(10_000))
    few.cover(1000)
    few.cover_values(3)
    many.cover(100)
    many.cover_values(50)
    assert budget.held == 1000 + 50 * VALUE_BYTES
    most.cover_values(10**9)  # admitted, alone


# --- the middleware -----------------------------------------------------------------------


class App:
    """Reads its body, then waits until it may end, as it is told to."""

    def __init__(self, error: Exception | None = None) -> None:
        self.may_end = asyncio.Event()
        self.error = error
        self.read = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            message = await receive()
            self.read += len(message["body"])
            more = message["more_body"]
        await self.may_end.wait()
        if self.error is not None:
            raise self.error


def scope_of(announced: int | None = None) -> dict[str, Any]:
    length = [] if announced is None else [(b"content-length", b"%d" % announced)]
    scope = {"type": "http", "method": "POST", "path": "/rerank", "headers": length}
    open_context(scope, "r")
    return scope


def receives(*sizes: int) -> Receive:
    left = list(sizes)

    async def receive() -> Message:
        size = left.pop(0)
        return {"type": "http.request", "body": b"x" * size, "more_body": bool(left)}

    return receive


async def send(message: Message) -> None: ...


@pytest.mark.anyio
@pytest.mark.parametrize("error", [None, ValueError("it failed")])
async def test_the_announced_size_is_held_from_the_first_byte_to_the_end(
    error: Exception | None,
) -> None:
    app, budget = App(error), InflightBytes(100)
    task = asyncio.create_task(HoldBodies(app, budget)(scope_of(80), receives(10, 70), send))
    await asyncio.sleep(0)
    assert (budget.held, app.read) == (80, 80)
    app.may_end.set()
    await asyncio.wait([task])
    assert task.exception() is error
    assert budget.held == 0


@pytest.mark.anyio
async def test_a_caller_who_is_cancelled_gives_back_what_he_held() -> None:
    app, budget = App(), InflightBytes(100)
    task = asyncio.create_task(HoldBodies(app, budget)(scope_of(80), receives(80), send))
    await asyncio.sleep(0)
    assert budget.held == 80
    task.cancel()
    await asyncio.wait([task])
    assert budget.held == 0


@pytest.mark.anyio
async def test_without_room_not_a_byte_is_read() -> None:
    app, budget = App(), InflightBytes(100)
    with pytest.raises(QueueFull):
        await HoldBodies(app, budget)(scope_of(101), receives(101), send)
    assert (app.read, budget.held) == (0, 0)


@pytest.mark.anyio
async def test_a_body_without_a_size_is_held_as_it_comes_in() -> None:
    app, budget = App(), InflightBytes(100)
    with pytest.raises(QueueFull):
        await HoldBodies(app, budget)(scope_of(), receives(60, 40, 1), send)
    assert (app.read, budget.held) == (100, 0)


# --- the service --------------------------------------------------------------------------


def body_of(size: int) -> bytes:
    return b'{"query":"q","documents":["' + b"a" * (size - 32) + b'"]}'


async def endless(started: asyncio.Event, ended: asyncio.Event) -> AsyncIterator[bytes]:
    yield b'{"query":"q",'
    started.set()
    await ended.wait()
    yield b'"documents":["a"]}'


async def scrape(client: httpx.AsyncClient) -> dict[str, float]:
    return scrape_text((await client.get("/metrics")).text)


async def until_held(client: httpx.AsyncClient, count: int) -> None:
    async with asyncio.timeout(20):
        while (await scrape(client))["rerankd_inflight_bytes"] != count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.anyio
async def test_over_the_budget_is_429_with_a_time_and_the_gauges_show_it(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    started, ended = asyncio.Event(), asyncio.Event()
    async with (
        desk.listening(max_inflight_mb=1, max_body_bytes=MIB) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as client,
    ):
        slow = {**JSON, "Content-Length": str(MIB - 1000)}
        first = asyncio.create_task(
            client.post("/rerank", content=endless(started, ended), headers=slow)
        )
        await started.wait()
        await until_held(client, MIB - 1000)
        refused = await client.post("/rerank", content=body_of(2000), headers=JSON)
        small = await client.post("/rerank", content=body_of(500), headers=JSON)
        metrics = await scrape(client)
        first.cancel()
        await asyncio.wait([first])
        await until_held(client, 0)
    assert (refused.status_code, refused.json()["type"]) == (429, "overloaded")
    assert "max_inflight_mb" in refused.json()["detail"]
    assert int(refused.headers["Retry-After"]) >= 1
    assert small.status_code == 200
    assert metrics["rerankd_inflight_bytes_limit"] == MIB
    assert metrics['rerankd_refusals_total{reason="overloaded"}'] == 1
    lines = [record.__dict__["fields"] for record in caplog.records if record.msg == "request"]
    (line,) = [line for line in lines if line["outcome"] == "overloaded"]
    assert line["detail"] == refused.json()["detail"]


@pytest.mark.anyio
async def test_who_has_no_key_holds_nothing(desk: Desk) -> None:
    async with desk.open(api_keys="secret", max_inflight_mb=1, max_body_bytes=MIB) as client:
        full = {**JSON, "Content-Length": str(MIB)}
        answers = [
            await client.post("/rerank", content=b"", headers=full | {"X-API-Key": key})
            for key in ("wrong", "")
        ]
    assert [answer.status_code for answer in answers] == [401, 401]
