"""Programs that a test starts, waits for and ends."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import httpx

PATIENCE = 60.0
T = TypeVar("T")


def until(check: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """Ask until the answer is true, and tell what was missing if it never is."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not (answer := check()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        pause.wait(0.02)
    return answer


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running(command: list[str], log: Path, ready: str) -> Iterator[None]:
    """The program, from when `ready` answers well until it is told to end."""
    with (
        log.open("w") as output,
        subprocess.Popen(command, stdout=output, stderr=output) as process,
    ):
        try:
            until(lambda: process.poll() is not None or answers(ready), f"{ready} answers")
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.terminate()


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.TransportError:
        return False
