"""Streams whose readers do not read: they cost memory, and no time of other callers."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import Request

from app.answer.answerer import AnswerService
from app.answer.question import Question
from app.api.answer_stream import SEND_SECONDS, STALLED, EventStream
from app.api.context import context_of, open_context
from app.errors import DeadlineExceeded, UpstreamFailed
from app.llm import Prompt
from app.llm.slots import Slots
from tests.answer.rooms import DOWN, QUESTION, Room
from tests.api.asking import BODY, events_of
from tests.desk import Desk
from tests.fakes import ScriptedLLM
from tests.llm.server import Exchange, delta, llm_server
from tests.virtual_time import in_virtual_time, now

pytestmark = pytest.mark.anyio

LIMIT = 40.0
WORDS = ("Four ", "weeks [1]", ".")


class Caller:
    """Reads `reads` messages, and then stops."""

    def __init__(self, room: Room, reads: int = 1000, question: Question = QUESTION) -> None:
        self.reads = reads
        self.messages: list[dict[str, Any]] = []
        self.scope: dict[str, Any] = {"type": "http", "headers": []}
        open_context(self.scope, "r")
        service = AnswerService(room.answerer)
        self._stream = EventStream(Request(self.scope), service, question)

    async def send(self, message: Any) -> None:
        if len(self.messages) >= self.reads:
            await asyncio.Event().wait()
        self.messages.append(message)

    async def receive(self) -> Any:
        raise AssertionError("nothing is left to receive")

    async def ask(self) -> float:
        """When it was over."""
        await self._stream(self.scope, self.receive, self.send)
        return now()

    @property
    def events(self) -> list[tuple[str, Any]]:
        return events_of(b"".join(message.get("body", b"") for message in self.messages).decode())


class SlowLLM(ScriptedLLM):
    """Answers for a second, and counts those that it answers."""

    def __init__(self) -> None:
        super().__init__("m", "Four ", 1.0, "weeks [1].")
        self.speaking = 0

    async def complete(self, prompt: Prompt, *args: Any, **more: Any) -> Any:
        self.speaking += 1
        try:
            return await super().complete(prompt, *args, **more)
        finally:
            self.speaking -= 1


@pytest.mark.parametrize("reads", [0, 1, 2, 3])
def test_eight_that_do_not_read_hold_no_slot_and_the_ninth_is_answered_at_once(reads: int) -> None:
    @in_virtual_time
    async def test() -> None:
        llm = SlowLLM()
        room = Room(llm, slots=Slots(8, 0), timeout=LIMIT)
        deaf = [Caller(room, reads) for _ in range(8)]
        tasks = [asyncio.create_task(caller.ask()) for caller in deaf]
        await asyncio.sleep(1.5)
        assert llm.speaking == 0
        ninth = Caller(room)
        assert await ninth.ask() == 2.5
        assert ninth.events[-1][1]["outcome"] == "answered"
        assert await asyncio.gather(*tasks) == [LIMIT + SEND_SECONDS] * 8
        assert [context_of(caller.scope).outcome for caller in deaf] == [STALLED] * 8
        assert len(asyncio.all_tasks()) == 1

    test()


@in_virtual_time
async def test_a_model_that_stalls_is_given_up_in_time_though_the_client_does_not_read() -> None:
    llm = ScriptedLLM("m", "Four ", 1000.0)
    room = Room(llm, timeout=LIMIT)
    caller = Caller(room, reads=1)
    asking = asyncio.create_task(caller.ask())
    await asyncio.sleep(LIMIT - 0.9)
    assert llm.closed == 1
    caller.reads = 1000
    assert await asking == LIMIT + SEND_SECONDS


@in_virtual_time
async def test_what_is_ready_at_the_last_moment_can_still_be_read() -> None:
    room = Room(ScriptedLLM("m", 1000.0), timeout=LIMIT)
    caller = Caller(room)
    assert LIMIT - 1 <= await caller.ask() <= LIMIT
    assert caller.events[-1][1]["outcome"] == "extractive"


@in_virtual_time
async def test_a_stream_has_sources_words_and_the_answer_and_ends_with_it() -> None:
    caller = Caller(Room(ScriptedLLM("m", *WORDS)))
    await caller.ask()
    assert [name for name, _ in caller.events] == ["sources", "text", "text", "text", "answer"]
    start, *bodies = caller.messages
    assert start["status"] == 200
    assert (b"x-reranked-by", b"overlap") in start["headers"]
    assert [body["more_body"] for body in bodies] == [True, True, True, True, False]


@in_virtual_time
async def test_nothing_comes_after_an_error() -> None:
    caller = Caller(Room(ScriptedLLM("m", "Four ", DOWN)))
    await caller.ask()
    assert [name for name, _ in caller.events] == ["sources", "text", "error"]
    assert caller.messages[-1]["more_body"] is False
    assert context_of(caller.scope).outcome == "upstream_failed"


@in_virtual_time
async def test_sources_that_cannot_be_shown_end_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.api.answer_stream.render_sources", lambda *_, **__: 1 / 0)
    caller = Caller(Room(ScriptedLLM("m", *WORDS)))
    await caller.ask()
    assert [name for name, _ in caller.events] == ["error"]


@in_virtual_time
async def test_what_fails_before_the_sources_is_raised_for_a_status_of_its_own() -> None:
    room = Room()
    room.retriever.error = UpstreamFailed("chroma answered 500", upstream="chroma")
    caller = Caller(room)
    with pytest.raises(UpstreamFailed, match="chroma answered 500"):
        await caller.ask()
    assert caller.messages == []


@in_virtual_time
async def test_whatever_hangs_before_the_sources_ends_with_the_deadline() -> None:
    room = Room(timeout=LIMIT)

    async def hang(*_: Any, **__: Any) -> Any:
        await asyncio.sleep(1000)

    room.reranker.rank = hang  # type: ignore[method-assign]
    with pytest.raises(DeadlineExceeded, match="not answered within 40000 ms"):
        await Caller(room).ask()
    assert now() == LIMIT + SEND_SECONDS


@pytest.mark.parametrize("after", [0.5, 1.5])
def test_a_caller_that_goes_ends_the_answer(after: float) -> None:
    @in_virtual_time
    async def test() -> None:
        llm = SlowLLM()
        room = Room(llm)
        room.retriever.seconds = 1.0
        asking = asyncio.create_task(Caller(room).ask())
        await asyncio.sleep(after)
        asking.cancel()
        await asyncio.wait([asking])
        assert asking.cancelled()
        assert now() == after
        assert (llm.speaking, len(asyncio.all_tasks())) == (0, 1)

    test()


# --- over real sockets ------------------------------------------------------------------------


@asynccontextmanager
async def callers_that_do_not_read(
    url: str, count: int, body: dict[str, Any]
) -> AsyncIterator[None]:
    """They send a request and never read; the network buffers as little as possible for them."""
    loop, raw = asyncio.get_running_loop(), json.dumps(body).encode()
    headers = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(raw)}\r\n"
    request = f"POST /answer HTTP/1.1\r\n{headers}\r\n".encode() + raw
    sockets = []
    for _ in range(count):
        caller = socket.socket()
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        caller.setblocking(False)
        await loop.sock_connect(caller, ("127.0.0.1", httpx.URL(url).port))
        await loop.sock_sendall(caller, request)
        sockets.append(caller)
    try:
        yield
    finally:
        for caller in sockets:
            caller.close()


async def test_over_sockets_too_the_ninth_is_answered_though_eight_do_not_read(room: Desk) -> None:
    requests, all_there = 0, asyncio.Event()

    async def flood(exchange: Exchange) -> None:
        """200 KB of answer: many times what the network holds for a caller."""
        nonlocal requests
        requests += 1
        if requests == 8:
            all_there.set()
        await exchange.begin()
        for _ in range(100):
            await exchange.event(delta("word " * 400))
        await exchange.event(delta(None, "stop"))
        await exchange.event(b"[DONE]")
        await exchange.end()

    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    async with llm_server(flood) as server:
        llm = {"llm": f"{server.url}#m", "llm_max_tokens": 7000, "llm_context_tokens": 20_000}
        async with (
            room.listening(listener, **llm) as url,
            httpx.AsyncClient(base_url=url, timeout=60) as client,
            callers_that_do_not_read(url, 8, {**BODY, "stream": True}),
        ):
            await asyncio.wait_for(all_there.wait(), 30)
            response = await client.post(
                "/answer", json={**BODY, "stream": True, "timeout_ms": 20_000}
            )
            metrics = (await client.get("/metrics")).text
    assert events_of(response.text)[-1][1]["outcome"] == "answered"
    assert "rerankd_requests_in_flight 9.0" in metrics
