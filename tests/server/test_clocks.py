"""How long a caller may take; with the limits as they are by default, in virtual time."""

from __future__ import annotations

import asyncio

import pytest

from app.server.clocks import BodyClock
from tests.server.wire import GET, App, House, connected, post, serving
from tests.virtual_time import in_virtual_time, now

TICK = 1.0  # a limit is noticed within this time


async def closes_after(house: House, reason: str, seconds: float) -> None:
    """Nothing happens until then, and it does within a tick."""
    await asyncio.sleep(seconds - 0.01)
    assert house.reasons == []
    await asyncio.sleep(TICK + 0.01)
    assert house.reasons == [reason]


# --- heads --------------------------------------------------------------------------------


@in_virtual_time
async def test_a_connection_that_sends_nothing_is_closed_after_ten_seconds() -> None:
    house = House()
    wire = await house.connect()
    await closes_after(house, "header_timeout", 10)
    assert wire.closed
    assert not wire.sent
    assert len(house.connections) == 0


@in_virtual_time
async def test_a_head_that_does_not_end_is_408_after_ten_seconds_however_busily_it_is_sent() -> (
    None
):
    house = House()
    wire = await house.connect(b"GET / HTTP/1.1\r\n")
    for _ in range(99):
        await wire.send(b"a")
        await asyncio.sleep(0.1)
    assert wire.status == 0
    await asyncio.sleep(TICK + 0.2)
    assert (wire.status, wire.problem["type"]) == (408, "request_timeout")
    assert "10 s (header_seconds)" in wire.problem["detail"]
    assert b"\r\nconnection: close\r\n" in wire.sent
    assert house.reasons == ["header_timeout"]


@in_virtual_time
async def test_blank_lines_alone_are_no_request_and_are_408() -> None:
    house = House()
    wire = await house.connect(b"\r\n\r\n")
    await closes_after(house, "header_timeout", 10)
    assert wire.status == 408


@in_virtual_time
async def test_blank_lines_before_a_request_are_part_of_its_time() -> None:
    house = House()
    wire = await house.connect(b"\r\n")
    await asyncio.sleep(9)
    await wire.send(GET[:5])
    await asyncio.sleep(TICK + 1)
    assert wire.status == 408


@in_virtual_time
async def test_the_clock_of_a_head_starts_with_its_first_byte() -> None:
    house = House()
    wire = await house.connect(GET)
    await asyncio.sleep(60)
    await wire.send(GET[:10])
    await asyncio.sleep(9)
    await wire.send(GET[10:])
    assert bytes(wire.sent).count(b"200 OK") == 2


@in_virtual_time
async def test_after_a_refusal_the_connection_is_closed_whatever_the_caller_does() -> None:
    house = House()
    wire = await house.connect(b"nonsense\r\n")
    for _ in range(40):
        await wire.send(b"more")
        await asyncio.sleep(0.1)
    assert wire.closed


# --- bodies -------------------------------------------------------------------------------


@in_virtual_time
async def test_a_body_of_which_nothing_comes_is_408_after_ten_seconds() -> None:
    house = House()
    wire = await house.connect(post(b"abc", size=10))
    await closes_after(house, "body_timeout", 10)
    assert (wire.status, wire.problem["type"]) == (408, "request_timeout")
    assert (house.app.gone, house.app.scopes[0]["refused"]) == (1, (408, "request_timeout"))


@in_virtual_time
async def test_a_body_that_trickles_is_408_after_a_minute() -> None:
    house = House()
    wire = await house.connect(post(size=1000))
    while not wire.sent:
        await wire.send(b"a")
        await asyncio.sleep(0.5)
    assert wire.status == 408
    assert 60 <= now() <= 60 + TICK + 0.5


@in_virtual_time
async def test_a_slow_body_within_its_time_is_served() -> None:
    house = House()
    wire = await house.connect(post(size=7))
    for _ in range(7):
        await asyncio.sleep(8)
        await wire.send(b"a")
    assert (wire.status, house.app.bodies) == (200, [b"a" * 7])


@in_virtual_time
async def test_no_time_passes_for_a_body_while_the_server_does_not_read_it() -> None:
    house = House()
    wire = await house.connect(post(b"a" * 70_000, size=70_003, path="/lazy"))
    assert not wire.reading
    await asyncio.sleep(500)
    house.app.release.set()
    await asyncio.sleep(9)
    await wire.send(b"abc")
    assert (wire.status, house.reasons) == (200, [])


@in_virtual_time
async def test_no_time_passes_for_a_body_that_waits_to_be_asked_for() -> None:
    house = House()
    wire = await house.connect(post(b"", "Expect: 100-continue", path="/lazy", size=3))
    await asyncio.sleep(500)
    assert wire.sent == b""
    house.app.release.set()
    await asyncio.sleep(9)
    assert wire.sent == b"HTTP/1.1 100 Continue\r\n\r\n"
    await wire.send(b"abc")
    assert b"200 OK" in wire.sent


@in_virtual_time
async def test_a_body_answered_early_is_read_on_and_the_connection_kept() -> None:
    house = House()
    wire = await house.connect(post(b"a", size=1000, path="/early"))
    assert wire.status == 200
    await wire.send(b"a" * 999 + GET)
    assert bytes(wire.sent).count(b"200 OK") == 2


@in_virtual_time
async def test_a_body_answered_early_that_does_not_come_ends_the_connection() -> None:
    house = House()
    wire = await house.connect(post(size=1000, path="/early"))
    await closes_after(house, "body_timeout", 10)
    assert bytes(wire.sent).count(b"HTTP/1.1") == 1
    assert wire.eof


def test_a_body_clock_counts_neither_pauses_nor_what_came_before() -> None:
    time = 0.0

    class Loop(asyncio.SelectorEventLoop):
        def time(self) -> float:
            return time

    loop = Loop()
    try:
        clock = BodyClock(loop)
        clock.start(paused=False)
        time = 5
        clock.pause()
        time = 100
        assert not clock.exceeds(6, 6)
        clock.resume()
        time = 100.9
        assert not clock.exceeds(6, 6)
        time = 101
        assert clock.exceeds(60, 6)
        time = 106
        assert clock.exceeds(6, 60)
    finally:
        loop.close()


# --- answers, and between requests ----------------------------------------------------------


@in_virtual_time
async def test_a_request_may_be_worked_on_for_as_long_as_the_application_likes() -> None:
    house = House()
    wire = await house.connect(post(b"a", path="/wait"))
    await asyncio.sleep(1000)
    house.app.release.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0.1)
    assert (wire.status, house.reasons) == (200, [])


@in_virtual_time
async def test_a_connection_is_kept_for_75_seconds_and_then_closed_without_a_word() -> None:
    house = House()
    wire = await house.connect(GET)
    size = len(wire.sent)
    await asyncio.sleep(74.9)
    assert not wire.closed
    await asyncio.sleep(TICK + 0.1)
    assert (wire.closed, len(wire.sent), house.reasons) == (True, size, [])


@in_virtual_time
async def test_a_connection_is_kept_also_when_its_body_ended_after_the_answer() -> None:
    house = House()
    wire = await house.connect(post(b"a", size=2, path="/early"))
    await asyncio.sleep(5)
    await wire.send(b"b")
    await asyncio.sleep(74.9)
    assert not wire.closed
    await asyncio.sleep(TICK + 0.1)
    assert wire.closed


def test_without_connections_no_timer_is_left() -> None:
    @in_virtual_time
    async def wait_for_ever() -> None:
        wire = await House().connect()
        await wire.leave()
        await asyncio.Event().wait()

    with pytest.raises(AssertionError, match="deadlock: nothing is scheduled"):
        wait_for_ever()


# --- over a real socket -------------------------------------------------------------------


@pytest.mark.anyio
async def test_the_408_reaches_the_caller() -> None:
    async with (
        asyncio.timeout(20),
        serving(App(), body_idle_seconds=0.1) as (_, address),
        connected(address) as (reader, writer),
    ):
        writer.write(post(b"a", size=2))
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
