"""Answers that callers do not read."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from typing import Any

import pytest

from tests.server.wire import GET, App, House, connected, exchange, on_closing, serving
from tests.virtual_time import in_virtual_time

MEGABYTE = 1 << 20


def get(size: int) -> bytes:
    return f"GET /?bytes={size} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


@in_virtual_time
async def test_an_answer_that_is_not_read_is_given_up_after_thirty_seconds() -> None:
    house = House()
    wire = await house.connect(get(MEGABYTE), room=1000)
    await asyncio.sleep(29.9)
    assert not wire.closed
    await asyncio.sleep(2.1)
    assert (wire.aborted, house.reasons) == (True, ["write_stall"])
    assert (house.connections.unread_bytes, len(house.connections)) == (0, 0)


@in_virtual_time
async def test_an_answer_that_is_read_slowly_arrives_whole() -> None:
    house = House()
    wire = await house.connect(get(MEGABYTE), room=1000)
    while house.connections.unread_bytes:
        await asyncio.sleep(20)
        await wire.read(100_000)
    assert wire.sent.endswith(b"\r\n\r\n" + b"a" * MEGABYTE)
    assert house.reasons == []


@in_virtual_time
async def test_a_stalled_caller_stops_a_stream_and_the_application_is_told() -> None:
    ended: list[str] = []

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(100):
            await send({"type": "http.response.body", "body": b"a" * 10_000, "more_body": True})
        ended.append((await receive())["type"])

    house = House(stream)
    await house.connect(GET, room=1000)
    assert house.connections.unread_bytes < 100_000
    await asyncio.sleep(32)
    assert (ended, house.reasons) == (["http.disconnect"], ["write_stall"])


@in_virtual_time
async def test_a_small_answer_that_is_not_read_is_given_up_too() -> None:
    house = House()
    wire = await house.connect(get(2000), room=1000)
    await asyncio.sleep(32)
    assert wire.aborted


@in_virtual_time
async def test_over_the_bound_the_caller_without_progress_for_the_longest_goes() -> None:
    house = House(unread_bytes=3 * MEGABYTE)
    first = await house.connect(get(900_000), room=1000)
    await asyncio.sleep(5)
    stalled = await house.connect(get(900_000), room=1000)
    await asyncio.sleep(5)
    await first.read(1000)
    third = await house.connect(get(900_000), room=1000)
    assert house.reasons == []
    await house.connect(get(900_000), room=1000)
    assert (stalled.aborted, first.aborted, third.aborted) == (True, False, False)
    assert house.reasons == ["unread"]
    assert house.connections.unread_bytes <= 3 * MEGABYTE


@in_virtual_time
async def test_an_answer_larger_than_the_bound_is_served_while_it_is_alone() -> None:
    house = House(unread_bytes=MEGABYTE)
    wire = await house.connect(get(3 * MEGABYTE), room=1000)
    await wire.read(4 * MEGABYTE)
    assert len(wire.sent) > 3 * MEGABYTE


@in_virtual_time
async def test_an_answer_mostly_read_counts_whole_as_long_as_it_is_in_memory() -> None:
    house = House()
    wire = await house.connect(get(MEGABYTE), room=1000)
    await wire.read(MEGABYTE // 2)
    assert house.connections.unread_bytes >= MEGABYTE
    await wire.read(MEGABYTE)
    await asyncio.sleep(2)
    assert house.connections.unread_bytes == 0


@in_virtual_time
async def test_the_request_ends_although_its_answer_is_not_read() -> None:
    house = House()
    await house.connect(get(MEGABYTE), room=1000)
    assert len(asyncio.all_tasks()) == 1


@in_virtual_time
async def test_a_large_answer_is_in_memory_once() -> None:
    house = House()
    tracemalloc.start()
    try:
        wires = [await house.connect(get(10 * MEGABYTE), room=1000) for _ in range(3)]
        gc.collect()
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 31.5 * MEGABYTE
    assert peak < 31.5 * MEGABYTE
    assert not any(wire.closed for wire in wires)


@in_virtual_time
async def test_a_connection_that_closes_after_its_answer_writes_it_to_the_end_first() -> None:
    house = House()
    request = get(MEGABYTE).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    wire = await house.connect(request, room=1000)
    await wire.send(b"late")
    assert not wire.closed
    await wire.read(2 * MEGABYTE)
    assert wire.sent.endswith(b"a" * MEGABYTE)
    await asyncio.sleep(4)
    assert wire.closed


@in_virtual_time
async def test_a_caller_that_half_closes_still_gets_the_answer_under_way() -> None:
    house = House()
    wire = await house.connect(get(MEGABYTE), room=1000)
    await wire.leave()
    await wire.read(2 * MEGABYTE)
    assert wire.sent.endswith(b"a" * MEGABYTE)
    assert wire.closed


# --- over real sockets --------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_large_answer_arrives_whole_over_a_real_socket() -> None:
    async with serving(App()) as (_, address):
        request = get(20 * MEGABYTE).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        answer = await exchange(address, request)
    assert answer.endswith(b"\r\n\r\n" + b"a" * 20 * MEGABYTE)


@pytest.mark.anyio
async def test_a_caller_that_reads_nothing_is_cut_off_over_a_real_socket() -> None:
    closed: asyncio.Queue[str] = asyncio.Queue()
    async with (
        asyncio.timeout(20),
        serving(App(), on_closing(closed.put_nowait), write_stall_seconds=0.3) as (server, address),
        connected(address, receive_buffer=4096) as (reader, writer),
    ):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(get(20 * MEGABYTE))
        assert await closed.get() == "write_stall"
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        with pytest.raises(ConnectionResetError):
            await reader.read()
    assert server.connections.unread_bytes == 0
