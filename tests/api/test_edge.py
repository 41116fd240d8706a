from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from httpx import AsyncClient

from app.api.access import request_id
from app.api.problems import KINDS, TYPES
from app.errors import QueueFull
from tests.desk import Desk

pytestmark = pytest.mark.anyio

BODY = {"query": "q", "documents": ["a", "b"]}


# --- bodies -------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'{"query": NaN}', b"[" * 1000])
async def test_what_is_not_json_is_400(client: AsyncClient, raw: bytes) -> None:
    response = await client.post(
        "/rerank", content=raw, headers={"Content-Type": "application/json"}
    )
    assert (response.status_code, response.json()["type"]) == (400, "malformed")


async def test_json_that_is_no_object_is_422(client: AsyncClient) -> None:
    response = await client.post("/rerank", json=[1, 2])
    assert (response.status_code, response.json()["field"]) == (422, "body")


@pytest.mark.parametrize(
    "headers",
    [
        {},  # as a page of another site can send it, without a preflight
        {"Content-Type": ""},
        {"Content-Type": "; charset=utf-8"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "text/plain; application/json"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_another_form_than_plain_json_is_415(
    client: AsyncClient, headers: dict[str, str]
) -> None:
    response = await client.post("/rerank", content=b"{}", headers=headers)
    assert (response.status_code, response.json()["type"]) == (415, "unsupported_media")


@pytest.mark.parametrize(
    "media",
    ["application/json", "Application/JSON; charset=utf-8", "application/vnd.api+json"],
)
async def test_json_by_any_of_its_names_is_read(client: AsyncClient, media: str) -> None:
    raw = b'{"query": "q", "documents": ["a"]}'
    response = await client.post("/rerank", content=raw, headers={"Content-Type": media})
    assert response.status_code == 200


async def test_no_path_reads_a_body_that_does_not_say_what_it_is(room: Desk) -> None:
    async with room.open() as client:
        for path in ("/rerank", "/v2/rerank", "/tei/rerank", "/score", "/answer"):
            assert (await client.post(path, content=b"{}")).status_code == 415


async def test_a_large_body_is_refused_by_its_announced_size(desk: Desk) -> None:
    async with desk.open(max_body_bytes=1024) as client:
        response = await client.post("/rerank", json={"query": "q", "documents": ["x" * 2000]})
    assert (response.status_code, response.json()["limit"]) == (413, 1024)


async def test_a_large_body_without_a_size_is_refused_while_it_comes_in(desk: Desk) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 1_000_000:
            sent += 512
            yield b"x" * 512

    async with desk.open(max_body_bytes=1024) as client:
        response = await client.post(
            "/rerank", content=endless(), headers={"Content-Type": "application/json"}
        )
    assert response.status_code == 413
    assert sent <= 2048


# --- problems -----------------------------------------------------------------------------


async def test_unknown_paths_and_methods_are_problems_too(client: AsyncClient) -> None:
    nothing, wrong = await client.get("/nothing"), await client.get("/rerank")
    assert (nothing.status_code, nothing.json()["type"]) == (404, "not_found")
    assert (wrong.status_code, wrong.json()["type"]) == (405, "method_not_allowed")
    assert wrong.headers["Allow"] == "POST"
    assert nothing.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(("docs", "hint"), [("true", "; /docs describes all paths"), ("false", "")])
async def test_a_caller_who_is_lost_learns_the_method_and_where_all_paths_are(
    desk: Desk, docs: str, hint: str
) -> None:
    async with desk.open(docs=docs) as client:
        nothing, root = await client.get("/nothing"), await client.get("/")
    assert nothing.json()["detail"] == f"Nothing exists at this path: GET /nothing{hint}"
    assert root.json()["error"].endswith(f": GET /; it accepts POST{hint}")


async def test_a_problem_carries_the_request_id_and_a_sentence_twice(client: AsyncClient) -> None:
    response = await client.post("/rerank", json={}, headers={"X-Request-ID": "call-9"})
    problem = response.json()
    assert problem["request_id"] == response.headers["X-Request-ID"] == "call-9"
    assert problem["detail"] == problem["message"]


@pytest.mark.parametrize("header", ["", "x" * 129, "a b", 'a"b', "é"])
def test_a_request_id_that_is_not_sane_is_replaced(header: str) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", request_id(header))


async def test_an_unforeseen_error_is_a_500_that_tells_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with desk.open() as client:

        def broken() -> None:
            raise RuntimeError("secret detail")

        monkeypatch.setattr(desk.app.state.wiring.service, "reranker", broken)
        response = await client.post("/rerank", json=BODY)
    assert (response.status_code, response.json()["type"]) == (500, "internal")
    assert "secret" not in response.text
    (record,) = [record for record in caplog.records if record.getMessage() == "unexpected_error"]
    assert record.__dict__["fields"]["request_id"] == response.json()["request_id"]


async def test_overload_says_when_to_come_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async with desk.open() as client:

        def full() -> None:
            raise QueueFull("no room", retry_after=0.05)

        monkeypatch.setattr(desk.app.state.wiring.service, "reranker", full)
        response = await client.post("/rerank", json=BODY)
    assert response.status_code == 429
    assert response.headers["Retry-After"] == "1"
    assert response.headers["retry-after-ms"] == "50"


async def test_a_time_limit_that_passes_is_a_504(desk: Desk) -> None:
    async with desk.open() as client:
        body = {"query": "q", "documents": [f"book {n}" for n in range(900)], "timeout_ms": 1}
        response = await client.post("/rerank", json=body)
    assert (response.status_code, response.json()["type"]) == (504, "deadline")


def test_every_problem_type_is_its_own_and_stable() -> None:
    assert len({kind.type for kind in KINDS.values()}) == len(KINDS)
    assert all(re.fullmatch(r"[a-z_]+", name) for name in TYPES)


# --- browsers -----------------------------------------------------------------------------


async def test_only_named_origins_may_call_from_a_browser(desk: Desk) -> None:
    async with desk.open(cors_origins="https://a.example") as client:
        named = await client.post("/rerank", json=BODY, headers={"Origin": "https://a.example"})
        other = await client.post("/rerank", json=BODY, headers={"Origin": "https://b.example"})
    assert named.headers["access-control-allow-origin"] == "https://a.example"
    assert "access-control-allow-origin" not in other.headers


# --- the log ------------------------------------------------------------------------------


async def test_a_request_is_one_line_without_query_document_or_key(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with desk.open(api_keys="hunter2") as client:
        caplog.clear()
        await client.post(
            "/rerank",
            json={"query": "mysecretquery", "documents": ["mysecretdocument"]},
            headers={"Authorization": "Bearer hunter2"},
        )
    ours = [record for record in caplog.records if not record.name.startswith("httpx")]
    lines = [record for record in ours if record.name == "rerankd.access"]
    assert len(lines) == 1
    fields = lines[0].__dict__["fields"]
    assert (fields["route"], fields["status"], fields["outcome"]) == ("/rerank", 200, "ok")
    everything = repr([(record.getMessage(), record.__dict__) for record in ours])
    assert not re.search("mysecret|hunter2", everything)


# --- clients that go away -----------------------------------------------------------------


class Gone:
    """A client that sends some messages and leaves when it is told to."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self._messages = list(messages)
        self.leave = asyncio.Event()
        self.got: list[Any] = []

    async def call(self, desk: Desk) -> None:
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/rerank",
            "headers": [(b"content-type", b"application/json")],
            "query_string": b"",
        }
        await desk.app(scope, self.receive, self.send)

    async def receive(self) -> Any:
        if self._messages:
            return self._messages.pop(0)
        await self.leave.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.got.append(message)


def gone_count(desk: Desk) -> float | None:
    labels = {"route": "/rerank", "outcome": "client_gone"}
    registry = desk.app.state.wiring.metrics.registry
    count: float | None = registry.get_sample_value("rerankd_request_seconds_count", labels)
    return count


async def test_work_for_a_client_that_has_gone_is_cancelled(desk: Desk) -> None:
    async with desk.open():
        working, cancelled = asyncio.Event(), asyncio.Event()

        class Slow:
            name = "slow"

            async def rank(self, query: Any) -> None:
                working.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    cancelled.set()

        desk.app.state.wiring.service.reranker = Slow
        body = b'{"query": "q", "documents": ["a"]}'
        client = Gone({"type": "http.request", "body": body})
        call = asyncio.create_task(client.call(desk))
        async with asyncio.timeout(5):
            await working.wait()
            client.leave.set()
            await cancelled.wait()
            await call
        assert client.got == []
        assert gone_count(desk) == 1


async def test_a_client_that_goes_in_the_middle_of_its_body_is_no_error(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    async with desk.open():
        client = Gone({"type": "http.request", "body": b'{"query": "q', "more_body": True})
        client.leave.set()
        async with asyncio.timeout(5):
            await client.call(desk)
        assert client.got == []
        assert gone_count(desk) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
