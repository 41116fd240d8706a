"""How many connections there may be, and who has to go."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time

import pytest

from tests.server.wire import GET, House, Wire, post, settle
from tests.virtual_time import in_virtual_time

PROBE = b"GET /healthz?verbose HTTP/1.1\r\nHost: a\r\n\r\n"
WORK = post(b"a", path="/wait")


async def busy(house: House, count: int) -> list[Wire]:
    return [await house.connect(WORK) for _ in range(count)]


@in_virtual_time
async def test_at_the_bound_the_oldest_silent_connection_makes_room() -> None:
    house = House(connections=3)
    first = await house.connect()
    second = await house.connect(GET[:5])
    kept = await house.connect(GET)
    newcomer = await house.connect(GET)
    assert (first.closed, second.closed, kept.closed) == (True, False, False)
    assert (newcomer.status, house.reasons) == (200, ["evicted"])
    assert len(house.connections) == 3


@in_virtual_time
async def test_kept_alive_connections_go_next_the_longest_idle_first() -> None:
    house = House(connections=3)
    first, second = await house.connect(GET), await house.connect(GET)
    await asyncio.sleep(1)
    await first.send(GET)
    silent = await house.connect()
    for _ in range(2):
        assert (await house.connect(WORK)).closed is False
    assert (silent.closed, second.closed, first.closed) == (True, True, False)


@in_virtual_time
async def test_a_connection_with_a_request_is_never_evicted() -> None:
    house = House(connections=2)
    working, sending = await house.connect(WORK), await house.connect(post(b"a", size=2))
    for _ in range(5):
        await house.connect(GET)
    house.app.release.set()
    await sending.send(b"b")
    assert (working.status, sending.status) == (200, 200)


@in_virtual_time
async def test_a_kept_alive_connection_whose_answer_is_not_read_yet_is_not_idle() -> None:
    house = House(connections=2)
    await house.connect(b"GET /?bytes=50000 HTTP/1.1\r\n\r\n", room=100)
    await busy(house, 1)
    newcomer = await house.connect(PROBE)
    assert (newcomer.status, house.reasons) == (200, [])


@in_virtual_time
async def test_when_all_are_busy_probes_are_served_and_others_get_503() -> None:
    house = House(connections=8)
    await busy(house, 8)
    other, probe = await house.connect(GET), await house.connect(PROBE)
    assert (other.status, other.problem["type"]) == (503, "too_many_connections")
    assert b"\r\nretry-after: 1\r\n" in other.sent
    assert b"\r\nconnection: close\r\n" in other.sent
    assert (probe.status, house.reasons[0]) == (200, "too_many_connections")


@in_virtual_time
async def test_the_reserve_is_given_back_after_each_answer() -> None:
    house = House(connections=8)
    await busy(house, 8)
    for _ in range(20):
        probe = await house.connect(PROBE)
        assert probe.status == 200
        assert b"\r\nconnection: close\r\n" in probe.sent
        assert probe.closed
    assert len(house.connections) == 8


@in_virtual_time
async def test_silent_newcomers_do_not_keep_a_probe_from_the_reserve() -> None:
    house = House(connections=8)
    await busy(house, 8)
    for _ in range(20):
        await house.connect()
    assert (await house.connect(PROBE)).status == 200
    assert len(house.connections) <= 8 + house.connections.limits.reserve


@in_virtual_time
async def test_who_takes_a_place_in_the_reserve_is_served_no_more_than_its_predecessor() -> None:
    house = House(connections=8)
    await busy(house, 8)
    silent, other = await house.connect(), await house.connect(GET)
    assert (silent.closed, other.status) == (True, 503)


@in_virtual_time
async def test_when_the_reserve_is_busy_too_a_newcomer_gets_503_at_once() -> None:
    house = House(connections=8, reserve_paths=frozenset({b"/wait"}))
    await busy(house, 8 + house.connections.limits.reserve)
    newcomer = await house.connect()
    assert (newcomer.status, newcomer.closed) == (503, True)


@pytest.mark.parametrize("leaves", [True, False], ids=["one has left", "one is idle"])
@in_virtual_time
async def test_a_connection_out_of_the_reserve_is_like_any_other_once_there_is_room(
    leaves: bool,
) -> None:
    house = House(connections=8)
    others = await busy(house, 8)
    newcomer = await house.connect()
    if leaves:
        await others[0].leave()
    else:
        house.app.release.set()
        await settle()
    await newcomer.send(GET)
    assert newcomer.status == 200
    assert b"connection: close" not in newcomer.sent
    assert len(house.connections) == 8


@in_virtual_time
async def test_the_bound_holds_under_any_mix_of_arrivals() -> None:
    house = House(connections=16)
    kinds = [b"", GET[:7], GET, WORK, PROBE, post(b"a", size=2), b"nonsense\r\n\r\n"]
    for number in range(500):
        await house.connect(kinds[number * number % len(kinds)])
        assert len(house.connections) <= 16 + house.connections.limits.reserve + 1
    house.app.release.set()
    await asyncio.sleep(200)
    assert len(house.connections) == 0
    assert (await house.connect(GET)).status == 200


# --- a process with few descriptors ---------------------------------------------------------


def test_with_256_descriptors_and_300_silent_sockets_a_probe_is_answered_within_a_second() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.server.process", "5", "256"],
        stdout=subprocess.PIPE,
        text=True,
    )
    silent: list[socket.socket] = []
    try:
        assert process.stdout is not None
        address = ("127.0.0.1", int(process.stdout.readline()))
        silent += [socket.create_connection(address, 5) for _ in range(300)]
        started = time.monotonic()
        with socket.create_connection(address, 5) as probe:
            probe.sendall(PROBE)
            assert probe.recv(100).startswith(b"HTTP/1.1 200 OK")
        assert time.monotonic() - started < 1
    finally:
        for connection in silent:
            connection.close()
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


@pytest.mark.parametrize(("connections", "reserve"), [(1, 1), (8, 1), (128, 16), (4096, 32)])
def test_the_reserve_is_small_beside_the_bound(connections: int, reserve: int) -> None:
    assert House(connections=connections).connections.limits.reserve == reserve
