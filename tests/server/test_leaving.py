"""From the first SIGTERM to the end: who is served meanwhile, and what a second signal shortens."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from dataclasses import dataclass, field
from functools import partial

import pytest

from app.server.connections import Connections
from app.server.exit_limit import ExitLimit
from app.server.leaving import Leaving, Step, Times
from tests.server.wire import GET, App, Leaver, connected, exchange, make_limits, serving
from tests.virtual_time import in_virtual_time, now

CLOSES = b"\r\nconnection: close\r\n\r\naa"
TIMES = Times(drain=30, lame_duck=10, grace=5)


@dataclass
class House:
    """The steps alone, in virtual time."""

    service: Leaver = field(default_factory=Leaver)
    times: Times = TIMES
    stopped_listening_at: float | None = None

    def leaving(self) -> Leaving:
        self.connections = Connections(make_limits(), lambda event: None)
        return Leaving(self.service, self.times, self.connections, self._stop_listening)

    async def _stop_listening(self) -> None:
        self.stopped_listening_at = now()


@in_virtual_time
async def test_newcomers_are_served_for_the_lame_duck_time_and_then_none_can_come() -> None:
    house = House()
    leaving = house.leaving()
    steps = asyncio.create_task(leaving.run())
    await asyncio.sleep(9.9)
    assert (leaving.step, house.connections.draining) == (Step.LAME_DUCK, True)
    assert (house.stopped_listening_at, house.service.drains) == (None, [])
    await steps
    assert (house.stopped_listening_at, house.service.drains) == (10.0, [(30, False)])


@in_virtual_time
async def test_without_a_lame_duck_time_newcomers_are_refused_by_a_service_that_listens() -> None:
    house = House(times=Times(drain=30))
    await house.leaving().run()
    assert (now(), house.stopped_listening_at, house.service.drains) == (0, None, [(30, True)])


@in_virtual_time
async def test_a_service_that_could_serve_nobody_does_not_wait_for_callers_to_leave() -> None:
    house = House(Leaver(can_serve=False))
    await house.leaving().run()
    assert (now(), house.service.drains) == (0, [(30, True)])


@in_virtual_time
async def test_the_lame_duck_time_can_be_shortened() -> None:
    house = House()
    leaving = house.leaving()
    steps = asyncio.create_task(leaving.run())
    await asyncio.sleep(4)
    leaving.shorten()
    await steps
    assert (house.stopped_listening_at, leaving.step) == (4.0, Step.DRAINING)


# --- the server ---------------------------------------------------------------------------


class NotedLimit(ExitLimit):
    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def start(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.mark.anyio
async def test_a_second_signal_ends_the_lame_duck_time_and_a_third_ends_the_server() -> None:
    service, limit = Leaver(drained=False), NotedLimit()
    async with serving(App(), service=service, times=TIMES, exit_limit=limit) as (server, address):
        server.handle_exit(signal.SIGTERM, None)
        await service.leave_requested()
        assert (await exchange(address, GET)).endswith(CLOSES)
        assert (await exchange(address, GET)).endswith(CLOSES)
        assert service.drains == []
        server.handle_exit(signal.SIGTERM, None)
        async with asyncio.timeout(5):
            await service.draining.wait()
        with pytest.raises(ConnectionRefusedError):
            await exchange(address, GET)
        assert not server.should_exit
        server.handle_exit(signal.SIGINT, None)
        assert server.should_exit
        server._captured_signals.clear()  # uvicorn would raise it again in this process
    assert limit.seconds == [10 + 30 + 2 * 5, 30 + 2 * 5, 2 * 5]


@pytest.mark.anyio
async def test_a_first_sigterm_after_a_call_to_drain_does_not_shorten_it() -> None:
    service, limit = Leaver(), NotedLimit()
    async with serving(App(), service=service, times=TIMES, exit_limit=limit) as (server, address):
        service.leave()  # as `POST /drain` does, which a preStop hook calls before the SIGTERM
        assert (await exchange(address, GET)).endswith(CLOSES)
        server.handle_exit(signal.SIGTERM, None)
        assert (await exchange(address, GET)).endswith(CLOSES)
        assert (service.drains, server.should_exit) == ([], False)
    assert limit.seconds == [50, 50]


@pytest.mark.anyio
async def test_ctrl_c_ends_a_server_at_once() -> None:
    limit = NotedLimit()
    async with serving(App(), times=TIMES, exit_limit=limit) as (server, _):
        server.handle_exit(signal.SIGINT, None)
        assert server.should_exit
        server._captured_signals.clear()
    assert limit.seconds == [10]


@pytest.mark.anyio
async def test_a_connection_of_before_the_signal_is_served_and_closed() -> None:
    service = Leaver()
    async with (
        serving(App(), service=service, times=TIMES) as (server, address),
        connected(address) as (reader, writer),
    ):
        writer.write(GET)
        assert b"connection: close" not in await reader.readuntil(b"aa")
        server.handle_exit(signal.SIGTERM, None)
        await service.leave_requested()
        await asyncio.sleep(0)
        writer.write(GET)
        async with asyncio.timeout(5):
            assert (await reader.read()).endswith(CLOSES)


# --- the socket ---------------------------------------------------------------------------


@dataclass
class Crowd:
    """Threads that connect and send as fast as they can, until they are refused."""

    address: tuple[str, int]
    answered: int = 0
    lost: int = 0
    refused: int = 0

    def connect_until_refused(self) -> None:
        while True:
            try:
                connection = socket.create_connection(self.address, timeout=20)
            except ConnectionError:
                self.refused += 1
                return
            with connection:
                try:
                    connection.sendall(GET)
                    answer = connection.recv(65_536)
                except ConnectionError:
                    answer = b""
            self.answered += bool(answer)
            self.lost += not answer


@pytest.mark.anyio
async def test_when_the_socket_closes_no_connection_that_was_established_is_lost() -> None:
    service = Leaver(drained=False)
    times = Times(drain=30, lame_duck=0.2)
    async with serving(App(), service=service, times=times) as (_, address):
        crowd = Crowd(address)
        threads = [threading.Thread(target=crowd.connect_until_refused) for _ in range(8)]
        for thread in threads:
            thread.start()
        service.leave()
        join = partial(asyncio.get_running_loop().run_in_executor, None)
        for thread in threads:
            await join(thread.join)
        service.drained.set()
    assert (crowd.lost, crowd.refused) == (0, 8)
    assert crowd.answered > 10
