"""Services that ask each other in a circle: real apps over real sockets."""

from __future__ import annotations

import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.upstream.retry import RetryPolicy
from app.via import read
from tests.desk import Desk
from tests.fakes import FakeRetriever

pytestmark = pytest.mark.anyio

ASKED = {"query": "q", "documents": ["a", "b"], "timeout_ms": 20_000}
NAMED = ("RERANKD_MODEL", "RERANKD_FALLBACK", "RERANKD_UPSTREAM_URL")
NOWHERE = "/nowhere/model"
Named = Callable[[str], dict[str, Any]]  # the settings of a service, by the URL of the next
WAYS: dict[str, Named] = {
    "model": lambda url: {"model": url},
    "proxy": lambda url: {"model": "cohere:m", "upstream_url": url},
}


@asynccontextmanager
async def circle(desks: Sequence[Desk], named: Named) -> AsyncIterator[httpx.AsyncClient]:
    """Each asks the next, the last one the first; a client of the first."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in desks]
    urls = [f"http://127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]
    async with AsyncExitStack() as stack:
        for desk, listener, following in zip(desks, listeners, urls[1:] + urls[:1], strict=True):
            await stack.enter_async_context(desk.listening(listener, **named(following)))
        yield await stack.enter_async_context(httpx.AsyncClient(base_url=urls[0], timeout=60))


def calls(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    """Every request that was answered, the first answer first."""
    lines = [
        record.__dict__["fields"] for record in caplog.records if record.getMessage() == "request"
    ]
    return [(line["status"], line["outcome"]) for line in lines]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("services", [1, 2, 3])
async def test_a_circle_is_refused_where_it_closes_and_nobody_tries_again(
    model: Path, services: int, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with circle([Desk(model) for _ in range(services)], WAYS[way]) as client:
        refused = await client.post("/rerank", json=ASKED)
    assert (refused.status_code, refused.json()["type"]) == (508, "loop")
    assert [name for name in NAMED if name not in refused.json()["detail"]] == []
    assert "Retry-After" not in refused.headers
    assert calls(caplog) == [(508, "loop")] * (services + 1)


async def test_answers_go_round_no_more_often(
    model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first, second = Desk(model, FakeRetriever("a", "b")), Desk(model)
    async with circle([first, second], WAYS["model"]) as client:
        refused = await client.post("/answer", json={"query": "q"})
    assert (refused.status_code, refused.json()["type"]) == (508, "loop")
    assert len(calls(caplog)) == 3


async def test_two_that_stand_behind_each_other_give_the_local_refusal_when_both_are_down(
    model: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    # A model that is loading would be waited for.
    monkeypatch.setattr("app.remote.reranking.RETRIES", RetryPolicy(attempts=1))
    named: Named = lambda url: {"model": NOWHERE, "fallback": url}  # noqa: E731
    async with circle([Desk(model), Desk(model)], named) as client:
        refused = await client.post("/rerank", json=ASKED)
    assert (refused.status_code, refused.json()["type"]) == (503, "engine_failed")
    assert NOWHERE in refused.json()["detail"]
    assert calls(caplog) == [(508, "loop"), (503, "engine_failed"), (503, "engine_failed")]


async def test_two_that_stand_behind_each_other_help_when_one_is_down(model: Path) -> None:
    models = iter([NOWHERE, str(model)])
    named: Named = lambda url: {"model": next(models), "fallback": url}  # noqa: E731
    async with circle([Desk(model), Desk(model)], named) as client:
        helped = await client.post("/rerank", json=ASKED)
    assert (helped.status_code, helped.headers["X-Reranked-By"]) == (200, "rerankd")


async def test_one_service_may_be_asked_by_two_others(desk: Desk, model: Path) -> None:
    async with desk.listening() as there:
        for _ in range(2):
            async with Desk(model).open(model=there) as client:
                assert (await client.post("/rerank", json=ASKED)).status_code == 200


@pytest.mark.parametrize(
    "value", ["1.1 nginx", "1.1 rerankd-0123456789abcdef", "1.0 fred, 1.1 rerankd-x (rerankd)", ""]
)
async def test_what_others_passed_on_is_no_circle(desk: Desk, value: str) -> None:
    async with desk.open() as client:
        answer = await client.post("/rerank", json=ASKED, headers={"Via": value})
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/rerank", "/v2/rerank", "/score", "/tei/rerank"])
async def test_the_own_mark_is_refused_before_the_body_is_read(desk: Desk, path: str) -> None:
    async with desk.open() as client:
        via = [
            ("Via", "1.1 nginx"),
            ("Via", f"2 {desk.app.state.wiring.mark} (rerankd), 1.1 other"),
        ]
        refused = await client.post(path, content=b"no JSON", headers=via)
    assert refused.status_code == 508


async def test_each_process_has_a_mark_of_its_own(desk: Desk) -> None:
    marks = []
    for _ in range(2):
        async with desk.open():
            marks.append(desk.app.state.wiring.mark)
    assert len({*marks}) == 2
    assert [read(f"1.1 {mark}") for mark in marks] == [[mark] for mark in marks]
