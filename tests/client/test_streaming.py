"""Bytes become events, however they are cut; and time limits hold while a response arrives."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from rerankd.client import AsyncClient, Client, ClientTimeout, ConnectionFailed
from rerankd.streaming import EventReader, Transcript
from tests.client.callers import URL, FakeClock, opened
from tests.virtual_time import in_virtual_time, now

RAW = (
    ": a comment\n\n"
    "event: text\ndata: größer\n\n"
    "event: text\r\ndata: first\r\ndata: second\r\n\r\n"
    "data:no name\n\n"
    "event: empty\n\n"
    "event: unfinished\ndata: x"
).encode()
EVENTS = [("text", "größer"), ("text", "first\nsecond"), ("", "no name")]
EVENT_STREAM = {"content-type": "text/event-stream; charset=utf-8"}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_do_not_depend_on_how_the_bytes_are_cut(size: int) -> None:
    reader = EventReader()
    chunks = [RAW[start : start + size] for start in range(0, len(RAW), size)]
    assert [event for chunk in chunks for event in reader.feed(chunk)] == EVENTS


def test_an_event_that_the_client_does_not_know_is_skipped() -> None:
    transcript = Transcript(EVENT_STREAM)
    assert transcript.take(b'event: progress\ndata: {"share": 0.5}\n\n') == []
    assert transcript.take(b'event: text\ndata: {"text": "a"}\n\n') == ["a"]


class Drops(httpx.SyncByteStream, httpx.AsyncByteStream):
    """One byte every four seconds, without end."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self._clock.sleep(4.0)
            yield b" "

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(4.0)
            yield b" "

    def close(self) -> None:
        self.is_closed = True

    async def aclose(self) -> None:
        self.is_closed = True


def dripping(drops: Drops) -> httpx.MockTransport:
    return httpx.MockTransport(lambda _: httpx.Response(200, stream=drops, headers=EVENT_STREAM))


def test_a_response_in_drops_ends_with_the_first_drop_after_the_limit() -> None:
    clock = FakeClock()
    drops = Drops(clock)
    with (
        Client(URL, timeout=10.0, transport=dripping(drops), clock=clock) as client,
        pytest.raises(ClientTimeout, match="10 s"),
    ):
        client.rerank("q", ["a"])
    assert (clock.now(), drops.is_closed) == (12.0, True)


def test_a_stream_in_drops_ends_too() -> None:
    clock = FakeClock()
    drops = Drops(clock)
    with (
        Client(URL, timeout=10.0, transport=dripping(drops), clock=clock) as client,
        pytest.raises(ClientTimeout),
        client.stream_answer("q"),
    ):
        pass
    assert (clock.now(), drops.is_closed) == (12.0, True)


@in_virtual_time
async def test_the_asyncio_client_keeps_the_limit_exactly() -> None:
    drops = Drops(FakeClock())
    async with AsyncClient(URL, timeout=10.0, transport=dripping(drops)) as client:
        with pytest.raises(ClientTimeout):
            await client.rerank("q", ["a"])
        assert (now(), drops.is_closed) == (10.0, True)
        with pytest.raises(ClientTimeout):
            async with client.stream_answer("q", timeout=5.0):
                pass
        assert now() == 15.0


@in_virtual_time
async def test_a_cancelled_call_closes_its_response() -> None:
    drops = Drops(FakeClock())
    async with AsyncClient(URL, transport=dripping(drops)) as client:
        call = asyncio.create_task(client.rerank("q", ["a"]))
        await asyncio.sleep(1.0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert drops.is_closed


def test_an_address_where_nothing_listens_is_a_failed_connection(kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with (
        opened(kind, f"http://127.0.0.1:{port}", retries=0) as caller,
        pytest.raises(ConnectionFailed, match="cannot be reached"),
    ):
        caller.call("info")
