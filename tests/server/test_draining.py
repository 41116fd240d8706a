"""How connections and the process end."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.server.exit_limit import EXIT_FORCED, ExitLimit, running_threads
from tests.server.wire import GET, App, House, Leaver, exchange, post, serving
from tests.virtual_time import in_virtual_time

# --- connections --------------------------------------------------------------------------


@in_virtual_time
async def test_while_draining_each_answer_is_the_last_of_its_connection() -> None:
    house = House()
    working = await house.connect(post(b"a", path="/wait"))
    kept = await house.connect(GET)
    assert b"connection: close" not in kept.sent
    house.connections.drain()
    house.app.release.set()
    newcomer = await house.connect(GET)
    await kept.send(GET)
    for wire in (working, kept, newcomer):
        assert bytes(wire.sent).endswith(b"\r\nconnection: close\r\n\r\naa")
        assert wire.closed


@in_virtual_time
async def test_a_caller_that_has_reset_its_connection_is_refused_in_vain() -> None:
    house = House()
    wire = await house.connect(post(b"a", size=9))
    wire.reset = True
    house.shut_down()
    await asyncio.sleep(0.1)
    assert (wire.closed, len(house.connections)) == (True, 0)


@pytest.mark.anyio
async def test_on_sigterm_answers_close_their_connections_while_the_service_drains() -> None:
    service = Leaver(drained=False)
    async with serving(App(), service=service) as (server, address):
        server.handle_exit(signal.SIGTERM, None)
        answer = await exchange(address, GET)
        service.drained.set()
    assert answer.endswith(b"\r\nconnection: close\r\n\r\naa")


@in_virtual_time
async def test_at_the_end_a_body_that_has_not_arrived_is_refused_and_its_work_ended() -> None:
    house = House()
    slow = await house.connect(post(b"a", size=9))
    working = await house.connect(post(b"a", path="/wait"))
    idle, silent = await house.connect(GET), await house.connect()
    house.shut_down()
    await asyncio.sleep(0.1)
    assert (slow.status, slow.problem["type"], house.app.gone) == (503, "draining", 1)
    assert (idle.closed, silent.closed, working.closed) == (True, True, False)
    house.app.release.set()
    await asyncio.sleep(0.1)
    assert (working.status, working.closed) == (200, True)


# --- the process --------------------------------------------------------------------------


@contextmanager
def process(grace_seconds: float) -> Iterator[tuple[subprocess.Popen[str], str]]:
    running = subprocess.Popen(
        [sys.executable, "-m", "tests.server.process", str(grace_seconds)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stdout is not None
        yield running, f"http://127.0.0.1:{running.stdout.readline().strip()}"
    finally:
        running.kill()
        running.communicate()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_process_whose_thread_hangs_ends_in_time_and_says_so(how: signal.Signals) -> None:
    with process(grace_seconds=0.5) as (running, url):
        urllib.request.urlopen(url + "/hang").close()
        running.send_signal(how)
        _, log = running.communicate(timeout=20)
    last = json.loads(log.splitlines()[-1])
    assert running.returncode == EXIT_FORCED == 70
    assert (last["event"], last["exit_code"], last["after_seconds"]) == ("exit_forced", 70, 1)
    assert any(" in wait" in thread for thread in last["threads"])


def test_a_process_that_ends_by_itself_is_not_forced() -> None:
    with process(grace_seconds=10) as (running, url):
        urllib.request.urlopen(url + "/").close()
        running.send_signal(signal.SIGTERM)
        assert running.wait(8) == 0


def test_the_end_does_not_wait_for_a_log_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    blocked, done = threading.Event(), threading.Event()
    monkeypatch.setattr("app.server.exit_limit.LOG_SECONDS", 0.05)
    monkeypatch.setattr("app.server.exit_limit.write_log", lambda seconds: blocked.wait())

    def end(code: int) -> None:
        ended.append(code)
        done.set()

    ExitLimit(end).start(0.01)
    assert done.wait(10)
    blocked.set()
    assert ended == [EXIT_FORCED]


def test_a_later_time_replaces_an_earlier_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # The thread of the log may outlive the streams that this test captures.
    monkeypatch.setattr("app.server.exit_limit.write_log", lambda seconds: None)
    ended: list[int] = []
    done = threading.Event()

    def end(code: int) -> None:
        ended.append(code)
        done.set()

    limit = ExitLimit(end)
    limit.start(3600)
    limit.start(0.01)
    assert done.wait(10)
    limit.start(3600)
    limit.cancel()
    assert ended == [EXIT_FORCED]


def test_the_threads_are_named_with_what_they_do() -> None:
    release, running = threading.Event(), threading.Event()

    def hang_here() -> None:
        running.set()
        release.wait()

    thread = threading.Thread(target=hang_here, name="engine")
    thread.start()
    running.wait()
    try:
        assert [line for line in running_threads() if line.startswith("engine: ")]
    finally:
        release.set()
        thread.join()
