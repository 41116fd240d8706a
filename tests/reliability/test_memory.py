"""Bodies in progress take a bounded number of bytes of memory for each of their own.

`-s` prints the true figures; docs/decisions/0013 has those of one machine.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.desk import Desk
from tests.live.service import running
from tests.reliability import shapes
from tests.reliability.stub import StubEngine, stub_model
from tests.reliability.test_loop_held import PATHS

pytestmark = pytest.mark.anyio

FACTOR = 8  # as docs/decisions/0013 says
CONNECTION = 0.2 * 2**20  # bytes, as it says too
CONNECTIONS = 200
BODIES = 3
EXTRA = 3  # requests beyond the budget
BUDGET = BODIES * 8  # MiB
PAGE = 4096


class Peak:
    """The most memory that this process had, beyond what it had before."""

    def __init__(self) -> None:
        self.before = self.most = resident()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    @contextmanager
    def measured(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._ended.set()
            self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(0.002):
            self.most = max(self.most, resident())

    @property
    def grown(self) -> int:
        return self.most - self.before


def resident(process: int | str = "self") -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE


def trim() -> None:
    """Give back what is free, so that what is needed next counts anew."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def post(url: str, path: str, body: bytes) -> int:
    """The answer is read, and not kept: the caller's memory is not what is measured."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=120)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        while answer.read(65_536):
            pass
        return answer.status
    finally:
        connection.close()


async def statuses(url: str, path: str, body: bytes, engine: StubEngine) -> list[int]:
    """Of more requests than fit; those that do are all held until the others are refused."""
    work = [asyncio.to_thread(post, url, path, body) for _ in range(BODIES + EXTRA)]
    answered = []
    for finished in asyncio.as_completed(work):
        answered.append(await finished)
        if len(answered) == EXTRA:
            engine.may_score.set()
    return answered


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("kind", ["wide", "cjk", "controls"])
@pytest.mark.parametrize("name", ["shared", "native", "cohere_v2"])
async def test_a_full_budget_takes_no_more_memory_than_its_factor(
    monkeypatch: pytest.MonkeyPatch, name: str, kind: str
) -> None:
    model = stub_model()
    assert isinstance(model.engine, StubEngine)
    monkeypatch.setattr("app.compose.loading.load_soon", lambda *_, **__: (model, False))
    path, dialect = PATHS[name]
    body = shapes.of_text(dialect, kind, shapes.DOCUMENTS)
    desk = Desk(Path("stub"))
    async with desk.listening(max_inflight_mb=BUDGET, cache_mb=0, max_queue_tokens=10**8) as url:
        model.engine.may_score.clear()
        trim()
        peak = Peak()
        with peak.measured():
            answered = await statuses(url, path, body, model.engine)
        factor = peak.grown / (BODIES * len(body))
        print(f"{name}, {kind}: {peak.grown / 2**20:.0f} MiB, factor {factor:.1f}")
    assert sorted(answered) == [200] * BODIES + [429] * EXTRA
    assert factor < FACTOR


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
async def test_connections_with_nearly_all_the_headers_they_may_send_take_no_more_than_said() -> (
    None
):
    """In a process of its own: this one has free memory from other tests, of no known size."""
    with running(wait=False, model="http://127.0.0.1:9") as service:  # nothing is loaded
        process = service.process.pid
        before = resident(process)
        writers = await unfinished(service.url, CONNECTIONS)
        each = (resident(process) - before) / CONNECTIONS
        print(f"{each / 2**10:.0f} KiB for each connection")
        for writer in writers:
            writer.close()
    assert 65_536 / 2 < each < CONNECTION


async def unfinished(url: str, count: int) -> list[asyncio.StreamWriter]:
    """Connections whose request lines and headers lack their last few bytes, all received."""
    head = b"GET /healthz HTTP/1.1\r\nHost: memory\r\n"
    fields = b"".join(b"X-%02d: %s\r\n" % (number, b"a" * 640) for number in range(96))
    writers = []
    for _ in range(count):
        _, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
        writer.write(head + fields)
        await writer.drain()
        writers.append(writer)
    answer = await asyncio.to_thread(httpx.get, f"{url}/healthz", timeout=60)
    assert answer.status_code == 200  # so they have been read
    return writers
