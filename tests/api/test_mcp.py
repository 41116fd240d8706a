"""`/mcp` over the whole service and a real socket, asked by the official SDK's own client."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp.shared.exceptions import MCPError

from app.api.wiring import wiring_of
from app.errors import QueueFull
from app.rerank.query import Query, Ranking
from tests.api.asking import TEXTS, llm_of
from tests.desk import Desk
from tests.fakes import FakeRetriever
from tests.live.service import scrape_text
from tests.llm.server import llm_server, says
from tests.mcp.calling import ARGUMENTS, DOCUMENTS, MODES, QUERY, connected, refused

pytestmark = pytest.mark.anyio

EVERY_MODE = pytest.mark.parametrize("mode", MODES)
# With a store, `answer` is offered; the tests give the candidates themselves.
STORE: dict[str, Any] = {"store": "sqlite:unused.db"}
MESSAGE: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
HEADERS = {"Accept": "application/json, text/event-stream"}


@EVERY_MODE
async def test_the_tools_are_listed_with_the_limits_of_the_service(room: Desk, mode: str) -> None:
    async with room.listening(**STORE, max_documents=7) as url, connected(url, mode=mode) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert client.server_info is not None
        assert client.server_info.name == "rerankd"
    assert list(tools) == ["rerank", "answer"]
    assert tools["rerank"].input_schema["properties"]["documents"]["maxItems"] == 7
    assert tools["rerank"].annotations is not None
    assert tools["rerank"].annotations.read_only_hint


async def test_answer_is_offered_as_soon_as_there_is_a_store(
    room: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with room.listening() as url, httpx.AsyncClient(base_url=url) as http:
        for offered in (False, True):
            async with connected(url) as client:
                names = {tool.name for tool in (await client.list_tools()).tools}
            assert ("answer" in names) is offered
            assert (await http.get("/info")).json()["answers"] is offered
            (tmp_path / "rerankd.db").touch()


@EVERY_MODE
async def test_rerank_gives_the_ranking_of_the_service(room: Desk, mode: str) -> None:
    async with room.listening() as url, connected(url, mode=mode) as client:
        arguments = {**ARGUMENTS, "return_documents": True, "top_n": 2}
        result = await client.call_tool("rerank", arguments)
        async with httpx.AsyncClient(base_url=url) as http:
            expected = (await http.post("/rerank", json=arguments)).json()["results"]
    assert not result.is_error
    assert result.structured_content["results"] == [
        {
            "index": each["index"],
            "relevance_score": each["relevance_score"],
            "text": DOCUMENTS[each["index"]],
        }
        for each in expected
    ]


@EVERY_MODE
async def test_answer_answers_with_its_sources(room: Desk, mode: str) -> None:
    async with (
        llm_server(says("Four weeks [1].")) as server,
        room.listening(**STORE, **llm_of(server)) as url,
        connected(url, mode=mode) as client,
    ):
        arguments = {"query": QUERY, "min_score": 0, "final_k": 2, "return_documents": True}
        result = await client.call_tool("answer", arguments)
    answer = result.structured_content
    assert (answer["outcome"], answer["answer"]) == ("answered", "Four weeks [1].")
    assert [source["number"] for source in answer["sources"]] == [1, 2]
    assert answer["sources"][0]["text"] in TEXTS
    assert answer["sources"][0]["metadata"]["source"].endswith(".md")


async def test_an_error_is_a_result_that_names_the_field_and_the_limit(room: Desk) -> None:
    limits: dict[str, Any] = {"max_documents": 2, "max_query_chars": 30}
    async with room.listening(**STORE, **limits) as url, connected(url) as client:
        many = await refused(client, "rerank", ARGUMENTS)
        long = await refused(client, "answer", {"query": "x" * 31})
        wrong = await refused(client, "rerank", {**ARGUMENTS, "topn": 1})
        with pytest.raises(MCPError, match="no tool 'search'; there are rerank, answer"):
            await client.call_tool("search", {})
    assert many == "invalid: documents holds 3 documents, more than the limit of 2"
    assert long == "invalid: query holds 31 characters, more than the limit of 30"
    assert wrong.startswith("invalid: topn: ")


async def test_an_unexpected_error_is_logged_and_not_shown(
    room: Desk, retriever: FakeRetriever, caplog: pytest.LogCaptureFixture
) -> None:
    retriever.error = RuntimeError("a secret")
    async with room.listening(**STORE) as url, connected(url) as client:
        text = await refused(client, "answer", {"query": QUERY})
    assert text.startswith("internal: ")
    assert "secret" not in text
    assert "unexpected_error" in caplog.messages


async def test_without_a_store_answer_says_so(model: Path) -> None:
    async with Desk(model).listening() as url, connected(url) as client:
        assert (await refused(client, "answer", {"query": "q"})).startswith("no_store: ")


async def test_a_call_is_counted_and_logged_with_its_tool_and_its_outcome(
    room: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "rerankd.access")
    async with (
        room.listening() as url,
        connected(url, mode="2026-07-28") as client,
        httpx.AsyncClient(base_url=url) as http,
    ):
        await client.list_tools()
        await client.call_tool("rerank", ARGUMENTS)
        monkeypatch.setattr(wiring_of(room.app).service, "reranker", FullRanker)
        text = await refused(client, "rerank", ARGUMENTS)
        metrics = scrape_text((await http.get("/metrics")).text)
    assert text == "overloaded: the queue is full; try again in 1.2 s"
    assert metrics['rerankd_request_seconds_count{outcome="ok",route="/mcp"}'] == 2
    assert metrics['rerankd_request_seconds_count{outcome="overloaded",route="/mcp"}'] == 1
    assert metrics['rerankd_refusals_total{reason="overloaded"}'] == 1
    logged = [r.__dict__["fields"] for r in caplog.records if r.getMessage() == "request"]
    calls = [fields for fields in logged if "tool" in fields]
    assert {fields["route"] for fields in calls} == {"/mcp"}
    assert [(fields["tool"], fields["outcome"]) for fields in calls] == [
        ("rerank", "ok"),
        ("rerank", "overloaded"),
    ]
    assert calls[0]["documents"] == 3


@EVERY_MODE
async def test_a_key_is_needed_as_on_the_other_paths(room: Desk, mode: str) -> None:
    async with room.listening(api_keys="sk-one,sk-two") as url:
        async with connected(url, {"Authorization": "Bearer sk-two"}, mode) as client:
            assert not (await client.call_tool("rerank", ARGUMENTS)).is_error
        async with httpx.AsyncClient(base_url=url) as http:
            response = await http.post("/mcp", json=MESSAGE, headers=HEADERS)
    assert response.status_code == 401
    assert response.json()["type"] == "unauthorized"


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("https://evil.example", 403),
        ("http://localhost.evil.example", 403),
        ("null", 403),
        ("http://[", 403),
        ("http://localhost:6274", 200),
        ("http://127.0.0.1:8000", 200),
        ("http://[::1]:8000", 200),
        ("https://page.example", 200),
        ("https://mine.example:444", 200),
    ],
)
async def test_a_page_of_another_site_is_refused(room: Desk, origin: str, status: int) -> None:
    settings = {"cors_origins": "https://page.example", "allowed_hosts": "test,mine.example"}
    async with room.open(**settings) as client:
        response = await client.post("/mcp", json=MESSAGE, headers={**HEADERS, "Origin": origin})
    assert response.status_code == status
    if status == 403:
        assert response.json()["type"] == "wrong_origin"


async def test_only_one_message_at_a_time_is_taken_by_post(room: Desk) -> None:
    async with room.open(max_body_bytes=2000) as client:
        for method in ("GET", "DELETE"):
            response = await client.request(method, "/mcp", headers=HEADERS)
            assert (response.status_code, response.json()["type"]) == (405, "method_not_allowed")
        large = await client.post("/mcp", json={**MESSAGE, "x": "y" * 2000}, headers=HEADERS)
        form = await client.post("/mcp", content=b"{}", headers=HEADERS)
        junk = await client.post(
            "/mcp", content=b"{", headers={**HEADERS, "Content-Type": "application/json"}
        )
    assert (large.status_code, large.json()["type"]) == (413, "too_large")
    assert (form.status_code, form.json()["type"]) == (415, "unsupported_media")
    assert junk.status_code == 400
    assert junk.json()["error"]["code"] == -32700


async def test_without_the_package_the_path_says_what_to_install(
    room: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.api.mcp_routes.find_spec", lambda _: None)
    async with room.open() as client:
        response = await client.post("/mcp", json=MESSAGE, headers=HEADERS)
        assert (await client.post("/rerank", json=ARGUMENTS)).status_code == 200
    assert response.status_code == 501
    assert response.json()["type"] == "not_installed"
    assert "pip install 'rerankd[mcp]'" in response.json()["detail"]


class FullRanker:
    async def rank(self, query: Query) -> Ranking:
        raise QueueFull("the queue is full", retry_after=1.2)


class SlowRanker:
    """Ranks nothing until it is cancelled."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def rank(self, query: Query) -> Ranking:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        raise AssertionError


@EVERY_MODE
async def test_a_client_that_goes_away_ends_its_call(
    room: Desk, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with room.listening() as url:
        slow = SlowRanker()
        monkeypatch.setattr(wiring_of(room.app).service, "reranker", lambda: slow)
        async with connected(url, mode=mode) as client:
            calling = asyncio.create_task(client.call_tool("rerank", ARGUMENTS))
            await slow.began.wait()
            calling.cancel()
            await asyncio.wait([calling])
        await asyncio.wait_for(slow.cancelled.wait(), 10)


async def test_a_service_that_leaves_answers_the_calls_that_it_has(
    room: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with room.listening() as url, connected(url) as client:
        service = wiring_of(room.app).service
        service._draining = True
        assert (await refused(client, "rerank", ARGUMENTS)).startswith("draining: ")


@pytest.mark.parametrize(("keys", "cached"), [(("sk-one", "sk-two"), 0), (("sk-one",) * 2, 3)])
async def test_the_scores_of_a_caller_are_cached_for_that_caller_only(
    room: Desk, keys: tuple[str, str], cached: int
) -> None:
    async with room.listening(api_keys="sk-one,sk-two") as url:
        for key in keys:
            async with connected(url, {"X-API-Key": key}) as client:
                await client.call_tool("rerank", ARGUMENTS)
        async with httpx.AsyncClient(base_url=url) as http:
            metrics = scrape_text((await http.get("/metrics")).text)
    assert metrics['rerankd_scores_reused_total{source="cache"}'] == cached
