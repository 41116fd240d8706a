"""The configurations of load balancers are accepted by their programs, and balance by load."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.reliability.rolling.balancers import BALANCERS, Balancer, check, missing_programs

pytestmark = pytest.mark.anyio

BY_REQUEST = [balancer for balancer in BALANCERS if balancer.redirects]
EACH = pytest.mark.parametrize("balancer", BY_REQUEST, ids=lambda balancer: balancer.name)
# A slow replica answers after the others have answered so many, or after this time if none can.
OTHERS_FIRST, STUCK_SECONDS = 40, 0.3
REQUESTS, CALLERS = 240, 6
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UNREADY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno"


@pytest.fixture(autouse=True)
def programs() -> None:
    if missing := missing_programs():
        sentence = f"not installed: {', '.join(missing)} (on Debian: apt-get install haproxy nginx)"
        pytest.fail(sentence) if os.environ.get("CI") else pytest.skip(sentence)


@dataclass
class Replica:
    """Answers every request in the same way, and counts those of callers."""

    answer: bytes = OK
    others: Sequence[Replica] = ()  # that are faster
    port: int = 0
    requests: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                probe = b"/readyz" in head
                self.requests += not probe
                if self.others and not probe:
                    await self._let_others_go_first()
                writer.write(OK if probe else self.answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the balancer closes the connection
        finally:
            writer.close()

    async def _let_others_go_first(self) -> None:
        def answered() -> int:
            return sum(other.requests for other in self.others)

        before, give_up = answered(), time.monotonic() + STUCK_SECONDS
        while answered() < before + OTHERS_FIRST:
            if time.monotonic() > give_up:
                return
            await asyncio.sleep(0.001)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield


@asynccontextmanager
async def balanced(
    balancer: Balancer, folder: Path, replicas: list[Replica]
) -> AsyncIterator[httpx.AsyncClient]:
    async with replicas[0].listening(), replicas[1].listening(), replicas[2].listening():
        ports = [replica.port for replica in replicas]
        running = balancer.running(folder, ports)
        port = await asyncio.to_thread(running.__enter__)
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                yield client
        finally:
            await asyncio.to_thread(running.__exit__, None, None, None)


@EACH
def test_the_program_accepts_its_configuration(balancer: Balancer, tmp_path: Path) -> None:
    done = check(balancer, balancer.config(tmp_path, 8080, [8001, 8002, 8003]))
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr.lower().replace("warning_fatal", "")


@EACH
async def test_a_slow_replica_gets_fewer_requests_than_its_turn(
    balancer: Balancer, tmp_path: Path
) -> None:
    fast = [Replica(), Replica()]
    slow = Replica(others=fast)
    async with balanced(balancer, tmp_path, [slow, *fast]) as client:

        async def call() -> None:
            for _ in range(REQUESTS // CALLERS):
                assert (await client.post("/rerank", content=b"")).status_code == 200

        async with asyncio.TaskGroup() as callers:
            for _ in range(CALLERS):
                callers.create_task(call())
    assert slow.requests + fast[0].requests + fast[1].requests == REQUESTS
    assert slow.requests < 0.6 * REQUESTS / 3


@asynccontextmanager
async def behind_nginx(folder: Path, replicas: list[Replica]) -> AsyncIterator[httpx.AsyncClient]:
    (nginx,) = [balancer for balancer in BALANCERS if balancer.name == "nginx"]
    async with balanced(nginx, folder, replicas) as client:
        yield client


@EACH
async def test_a_ranking_that_was_refused_is_sent_to_another_replica(
    balancer: Balancer, tmp_path: Path
) -> None:
    replicas = [Replica(answer=UNREADY), Replica(), Replica()]
    async with balanced(balancer, tmp_path, replicas) as client:
        answers = [await client.post("/rerank", content=b"") for _ in range(30)]
    assert [answer.status_code for answer in answers] == [200] * 30
    assert replicas[0].requests > 0


async def test_nginx_sends_feedback_once_and_hides_what_is_for_operators(tmp_path: Path) -> None:
    replicas = [Replica(answer=UNREADY) for _ in range(3)]
    async with behind_nginx(tmp_path, replicas) as client:
        refused = await client.post("/answer/1/feedback", content=b"")
        sent = sum(replica.requests for replica in replicas)
        hidden = [(await client.post(path)).status_code for path in ("/drain", "/metrics")]
        assert sum(replica.requests for replica in replicas) == sent
        await client.post("/rerank", content=b"")
    assert (refused.status_code, sent, hidden) == (503, 1, [404, 404])
    assert sum(replica.requests for replica in replicas) > sent + 1
