"""A model over real HTTP, working and misbehaving."""

from __future__ import annotations

import asyncio
import tracemalloc
import zlib
from dataclasses import replace
from typing import Any

import httpx
import pytest

from app.errors import UpstreamFailed, UpstreamTimeout
from app.llm import Completion, TokenUsage
from app.llm.client import Client, LLMOptions
from app.llm.formats.openai import OpenAI
from app.llm.reading import EventLines
from tests.llm.asking import KEY, OPTIONS, PROMPT, QUICK, listen, open_client
from tests.llm.server import (
    Exchange,
    LLMServer,
    breaks_off,
    delta,
    llm_server,
    refuses,
    says,
    sends,
)
from tests.virtual_time import in_virtual_time, now

pytestmark = pytest.mark.anyio


async def test_an_answer_comes_whole_with_what_it_cost() -> None:
    async with llm_server(says("Four ", "weeks.")) as server:
        assert await listen(open_client(server), stream=False) == (
            ["Four weeks."],
            Completion(TokenUsage(90, 10)),
        )
    (request,) = server.requests
    assert request.headers["authorization"] == "Bearer sk-secret"
    assert request.body == {
        "model": "model-1",
        "messages": [
            {"role": "system", "content": "Rules."},
            {"role": "user", "content": "How long?"},
        ],
        "max_tokens": 1024,
        "temperature": 0.1,
    }


async def test_an_answer_comes_in_pieces_and_says_why_it_ended() -> None:
    async with llm_server(says("Four ", "we\u2028eks.", finish="length")) as server:
        pieces, ended = await listen(open_client(server), stream=True)
    assert pieces == ["Four ", "we\u2028eks."]
    assert ended == Completion(TokenUsage(90, 10), "length")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_service_may_report_no_usage(stream: bool) -> None:
    async with llm_server(says("Four.", usage=None)) as server:
        assert (await listen(open_client(server), stream=stream))[1] == Completion(None)


@pytest.mark.parametrize("cut", [b"", b'data: {"choices": [], "usa'])
async def test_an_answer_whose_end_was_announced_is_whole_though_its_usage_is_cut_off(
    cut: bytes,
) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.begin()
        await exchange.event(delta("Four."))
        await exchange.event(delta(None, "length"))
        await exchange.send(cut)  # and the connection closes in the middle of a chunk

    async with llm_server(behave) as server:
        heard = await listen(open_client(server), stream=True)
    assert heard == (["Four."], Completion(None, "length"))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_service_that_hangs_is_abandoned_in_time_and_disconnected(stream: bool) -> None:
    async with llm_server() as server:
        server.script = [server.hangs()]
        with pytest.raises(UpstreamTimeout, match=r"^m did not answer in time$"):
            await listen(open_client(server, QUICK), stream=stream)
        await server.gone.wait()


async def test_a_service_that_hangs_in_the_middle_is_abandoned_in_time() -> None:
    async with llm_server() as server:
        server.script = [server.hangs_in_the_middle("Four ")]
        with pytest.raises(UpstreamTimeout):
            await listen(open_client(server, QUICK), stream=True)
        await server.gone.wait()


async def taken_by(client: Client, *, stream: bool = False) -> list[bool]:
    """Whether the prompt was taken, each time that the client reported it."""
    reports: list[bool] = []
    with pytest.raises(UpstreamFailed):
        await client.complete(PROMPT, lambda text: None, stream=stream, taken=reports.append)
    await client.close()
    return reports


@pytest.mark.parametrize("stream", [False, True])
async def test_the_client_reports_whether_the_service_has_taken_the_prompt(stream: bool) -> None:
    async with llm_server() as server:
        server.script = [server.hangs()]
        assert await taken_by(open_client(server, QUICK), stream=stream) == [True]
        server.script = [refuses(429, Retry_After="60")]
        assert await taken_by(open_client(server, QUICK), stream=stream) == [True, False]
    assert (
        await taken_by(open_client(LLMServer("http://127.0.0.1:9/v1"), QUICK), stream=stream) == []
    )


async def test_cancelling_the_listener_ends_the_call() -> None:
    async with llm_server() as server:
        server.script = [server.hangs_in_the_middle("Four ")]
        client, heard = open_client(server), asyncio.Queue[str]()
        call = asyncio.create_task(client.complete(PROMPT, heard.put_nowait, stream=True))
        assert await heard.get() == "Four "
        call.cancel()
        await asyncio.wait_for(server.gone.wait(), 5)
        await client.close()


@pytest.mark.parametrize(
    ("stream", "behave"),
    [
        (False, sends(b"<html>")),
        (False, sends(b"[]")),
        (False, sends(b'{"choices": []}')),
        (False, sends(b'{"choices": [{"message": {"content": null}}]}')),
        (False, says(" ")),
        (True, sends(b"data: {broken\n\n")),
        (True, sends(b'data: {"choices": 7}\n\n')),
        (True, sends(b'data: {"error": {"message": "secret"}}\n\n')),
        (True, sends(b"")),
        (True, breaks_off("Four ")),
        (True, says()),
    ],
)
async def test_junk_is_a_single_error_that_quotes_nothing_of_it(stream: bool, behave: Any) -> None:
    async with llm_server(behave) as server:
        with pytest.raises(UpstreamFailed, match=r"^m (broke off|sent|gave)") as caught:
            await listen(open_client(server), stream=stream)
    assert "secret" not in str(caught.value)


async def test_a_temporary_failure_is_retried() -> None:
    async with llm_server(refuses(500), says("Four.")) as server:
        assert (await listen(open_client(server), stream=True))[0] == ["Four."]
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [400, 401, 404])
async def test_a_permanent_failure_is_not_retried(status: int) -> None:
    async with llm_server(refuses(status), says("Four.")) as server:
        with pytest.raises(UpstreamFailed, match=f"^m answered {status}$"):
            await listen(open_client(server), stream=False)
    assert len(server.requests) == 1


def mocked(outcomes: list[httpx.Response], options: LLMOptions = OPTIONS) -> Client:
    transport = httpx.MockTransport(lambda request: outcomes.pop(0))
    http = httpx.AsyncClient(transport=transport)
    return Client("m", OpenAI(newest=True), "https://llm.example", "m", KEY, http, options)


PATIENT = replace(OPTIONS, first_token=10)
WHOLE = {"choices": [{"message": {"content": "Four."}}], "usage": None}


def test_a_hint_is_waited_for() -> None:
    @in_virtual_time
    async def test() -> None:
        busy = httpx.Response(429, headers={"retry-after": "7"})
        client = mocked([busy, httpx.Response(200, json=WHOLE)], PATIENT)
        assert (await listen(client, stream=False))[0] == ["Four."]
        assert now() == 7

    test()


def test_a_hint_beyond_the_time_for_a_first_word_is_not_waited_for() -> None:
    @in_virtual_time
    async def test() -> None:
        busy = httpx.Response(429, headers={"retry-after": "20"})
        with pytest.raises(UpstreamFailed, match="answered 429"):
            await listen(mocked([busy], PATIENT), stream=True)
        assert now() == 0

    test()


def test_without_a_hint_the_pause_is_short() -> None:
    @in_virtual_time
    async def test() -> None:
        client = mocked([httpx.Response(429), httpx.Response(200, json=WHOLE)])
        assert (await listen(client, stream=False))[0] == ["Four."]
        assert 0 < now() < 2

    test()


async def test_a_service_that_is_not_there_is_an_error() -> None:
    nobody = LLMServer("http://127.0.0.1:9/v1")
    with pytest.raises(UpstreamFailed, match=r"^m cannot be reached$"):
        await listen(open_client(nobody, replace(OPTIONS, attempts=1)), stream=False)


async def packs(exchange: Exchange) -> None:
    """A hundred MiB in a hundred KiB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    body = b"".join(packer.compress(b" " * 2**20) for _ in range(100)) + packer.flush()
    await exchange.answer(200, body, Content_Encoding="gzip")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_body_that_unpacks_to_too_much_is_abandoned_before_it_takes_the_memory(
    stream: bool,
) -> None:
    async with llm_server(packs) as server:
        tracemalloc.start()
        try:
            with pytest.raises(UpstreamFailed, match="m answered with more than 8,388,608 bytes"):
                await listen(open_client(server), stream=stream)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 24 * 2**20


@pytest.mark.parametrize("stream", [False, True])
async def test_a_service_that_sends_far_more_than_it_may_is_cut_off(stream: bool) -> None:
    options = replace(OPTIONS, max_tokens=5000)
    heard: list[str] = []
    pieces = ["word " * 200] * 200
    async with llm_server(says(*pieces)) as server:
        client = open_client(server, options)
        with pytest.raises(UpstreamFailed, match=r"^m sent too much$"):
            await client.complete(PROMPT, heard.append, stream=stream)
        await client.close()
    assert len("".join(heard)) <= options.max_chars == 160_000


def test_the_bounds_on_an_answer_grow_with_what_it_may_take() -> None:
    small, large = replace(OPTIONS, max_tokens=10), replace(OPTIONS, max_tokens=100_000)
    assert (small.max_chars, small.max_bytes) == (65_536, 2**23)
    assert large.max_bytes == 102_400_000


def test_an_event_may_come_in_the_smallest_of_pieces() -> None:
    raw = b"data: one\ndata:two\r\n: comment\n\nevent: x\ndata: three"

    lines, data = EventLines(), list[bytes]()
    for position in range(len(raw)):
        data += lines.feed(raw[position : position + 1])
    assert [*data, *lines.end()] == [b"one", b"two", b"three"]


async def test_an_error_of_the_listener_is_its_own_and_not_the_services() -> None:
    def listen_badly(text: str) -> None:
        raise ValueError(text)

    for stream in (False, True):
        async with llm_server(says("Four.")) as server:
            client = open_client(server)
            with pytest.raises(ValueError, match=r"^Four\.$"):
                await client.complete(PROMPT, listen_badly, stream=stream)
            await client.close()


def test_openais_own_service_takes_its_newest_names_and_no_temperature_where_none_is_set() -> None:
    body = OpenAI(newest=True).body(PROMPT, "m", max_tokens=9, temperature=None, stream=True)
    assert body["max_completion_tokens"] == 9
    assert body["stream_options"] == {"include_usage": True}
    assert not {"max_tokens", "temperature"} & body.keys()
    assert delta("x")["choices"]
