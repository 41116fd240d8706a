from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgi_lifespan import LifespanManager

from app.compose.app import create_app
from app.compose.model import open_model
from app.errors import LoadFailed
from app.evaluation.local import LocalScorer
from app.evaluation.problems import ServerFailed
from app.evaluation.remote import RemoteScorer, open_remote
from app.settings import load
from tests.virtual_time import in_virtual_time, now

pytestmark = pytest.mark.anyio

URL = "http://service"
TEXTS = ["aa", "a", "aaaa", "aaa", "aaaaa"]


class Server:
    """Scores a text by its length; `before` may answer first, once for each entry."""

    def __init__(self, documents: int = 2) -> None:
        self.before: list[httpx.Response] = []
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.info: object = {"model": "lengths", "limits": {"documents": documents}}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.keys.append(request.headers.get("authorization"))
        if request.url.path == "/info":
            return httpx.Response(200, json=self.info)
        if self.before:
            return self.before.pop(0)
        body = json.loads(request.content)
        self.bodies.append(body)
        results = [
            {"index": index, "relevance_score": float(len(text))}
            for index, text in enumerate(body["documents"])
        ]
        return httpx.Response(200, json={"results": results[::-1]})


@pytest.fixture
def server() -> Server:
    return Server()


async def ask(server: Callable[[httpx.Request], httpx.Response], key: str | None = None) -> Any:
    async with open_remote(URL, key, httpx.MockTransport(server)) as scorer:
        return scorer.name, await scorer.score("q", TEXTS)


async def test_documents_go_in_batches_and_scores_come_back_in_order(server: Server) -> None:
    assert await ask(server) == ("lengths", [2, 1, 4, 3, 5])
    assert [len(body["documents"]) for body in server.bodies] == [2, 2, 1]
    assert {body["score"] for body in server.bodies} == {"logit"}


async def test_the_key_goes_along(server: Server) -> None:
    await ask(server, "secret")
    assert set(server.keys) == {"Bearer secret"}


async def test_a_busy_server_is_asked_again_when_it_says(server: Server) -> None:
    server.before = [
        httpx.Response(429, headers={"Retry-After": "1", "retry-after-ms": "5"}),
        httpx.Response(503, headers={"Retry-After": "0"}),
    ]
    assert (await ask(server))[1] == [2, 1, 4, 3, 5]


async def test_a_server_that_stays_busy_is_given_up(server: Server) -> None:
    server.before = [httpx.Response(429, headers={"retry-after-ms": "1"})] * 99
    with pytest.raises(ServerFailed, match="answered 429: Too Many Requests"):
        await ask(server)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "3"}, 3),
        ({"retry-after-ms": "250"}, 0.25),
        ({"Retry-After": "9999"}, 30),
        ({}, 0.5),
    ],
)
def test_the_pause_is_what_the_server_says(headers: dict[str, str], seconds: float) -> None:
    @in_virtual_time
    async def test() -> None:
        server = Server()
        server.before = [httpx.Response(429, headers=headers)]
        await ask(server)
        assert now() == seconds

    test()


@in_virtual_time
async def test_a_server_that_does_not_say_when_is_given_a_minute_over_eight_tries() -> None:
    server = Server()
    server.before = [httpx.Response(503)] * 99
    with pytest.raises(ServerFailed, match="answered 503"):
        await ask(server)
    assert (99 - len(server.before), now()) == (8, 0.5 + 1 + 2 + 4 + 8 + 16 + 30)


@pytest.mark.parametrize("status", [500, 502])
async def test_a_server_that_fails_is_not_asked_again(server: Server, status: int) -> None:
    server.before = [httpx.Response(status)] * 2
    with pytest.raises(ServerFailed, match=f"answered {status}"):
        await ask(server)
    assert len(server.before) == 1


async def test_a_refusal_is_told_in_the_servers_words(server: Server) -> None:
    server.before = [httpx.Response(401, json={"detail": "an API key is needed"})]
    with pytest.raises(ServerFailed, match="/rerank answered 401: an API key is needed"):
        await ask(server)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (httpx.Response(200, json={"results": []}), "returned no score for a document"),
        (httpx.Response(200, text="hello"), "did not answer with a JSON object"),
    ],
)
async def test_an_answer_without_scores_is_refused(
    server: Server, answer: httpx.Response, says: str
) -> None:
    server.before = [answer]
    with pytest.raises(ServerFailed, match=says):
        await ask(server)


async def test_another_kind_of_server_is_refused(server: Server) -> None:
    server.info = {"name": "something else"}
    with pytest.raises(ServerFailed, match="is not a rerankd, or its model is not loaded yet"):
        await ask(server)


async def test_an_unreachable_server_is_named() -> None:
    def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    with pytest.raises(ServerFailed, match="connection refused"):
        await ask(gone)


async def test_the_service_and_the_engine_here_give_the_same_scores(small_model: Path) -> None:
    settings = load({}, model=str(small_model), device="cpu", max_documents=2)

    def fatal(error: LoadFailed) -> None:
        raise error

    app = create_app(settings, fatal)
    async with LifespanManager(app):
        await app.state.wiring.service.settled()
        async with httpx.AsyncClient(base_url=URL, transport=httpx.ASGITransport(app)) as client:
            scorer = RemoteScorer(client)
            await scorer.greet()
            remote = await scorer.score("which river", TEXTS)
    async with open_model(settings) as served:
        here = LocalScorer(served.card.model, served.reranker)
        local = await here.score("which river", TEXTS)
    assert scorer.name == "small-bert"
    assert remote == pytest.approx(local, abs=1e-6)
