"""One request a connection at a time."""

from __future__ import annotations

import asyncio

import pytest

from tests.server.wire import GET, App, House, connected, post, serving
from tests.virtual_time import in_virtual_time

WORK = post(b"a", path="/wait")
SECOND = b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("at_once", [True, False])
@in_virtual_time
async def test_a_second_request_is_not_read_while_the_first_is_answered(at_once: bool) -> None:
    house = House()
    wire = await house.connect(WORK + SECOND if at_once else WORK)
    await wire.send(b"" if at_once else SECOND)
    house.app.release.set()
    await asyncio.sleep(3)
    assert [scope["path"] for scope in house.app.scopes] == ["/wait"]
    assert (wire.status, bytes(wire.sent).count(b"HTTP/1.1")) == (200, 1)
    assert b"\r\nconnection: close\r\n" in wire.sent
    assert wire.eof
    assert wire.closed


@pytest.mark.parametrize("at_once", [True, False])
@in_virtual_time
async def test_a_caller_that_goes_is_noticed_behind_a_second_request(at_once: bool) -> None:
    house = House()
    wire = await house.connect(WORK + SECOND if at_once else WORK)
    await wire.send(b"" if at_once else SECOND)
    assert (house.app.gone, wire.reading) == (0, True)
    await wire.leave()
    assert house.app.gone == 1


@in_virtual_time
async def test_blank_lines_after_a_request_are_no_second_one() -> None:
    house = House()
    wire = await house.connect(WORK + b"\r\n")
    await wire.send(b"\r\n\r\n")
    house.app.release.set()
    await asyncio.sleep(0.1)
    await wire.send(b"\r\n" + GET)
    assert bytes(wire.sent).count(b"200 OK") == 2
    assert b"connection: close" not in wire.sent


@in_virtual_time
async def test_what_is_discarded_behind_a_request_is_bounded() -> None:
    house = House(discarded_bytes=100_000)
    wire = await house.connect(WORK)
    await wire.send(b"G" * 100_000)
    assert not wire.aborted
    await wire.send(b"G")
    assert (wire.aborted, house.app.gone, house.reasons) == (True, 1, ["pipelined"])


@in_virtual_time
async def test_requests_one_after_the_other_share_a_connection() -> None:
    house = House()
    wire = await house.connect()
    for number in range(100):
        await wire.send(post(b"%d" % number))
    assert house.app.bodies == [b"%d" % number for number in range(100)]
    assert b"connection: close" not in wire.sent


@pytest.mark.anyio
async def test_the_first_of_many_pipelined_requests_is_answered_over_a_real_socket() -> None:
    app = App()
    async with (
        asyncio.timeout(20),
        serving(app) as (_, address),
        connected(address) as (reader, writer),
    ):
        writer.write(GET * 1000)
        answer = await reader.read()
    assert (answer.count(b"HTTP/1.1 200 OK"), len(app.scopes)) == (1, 1)
