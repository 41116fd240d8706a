"""Servers as their users start them: processes of their own, on free ports of this machine."""

from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx

START_SECONDS = 300
EVERYONES = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
PORT = "{port}"
READY = "/readyz"  # of the service itself


class NotStarted(Exception):
    """It ended, or was not ready in time; the text has the end of its log."""


@dataclass(frozen=True)
class Server:
    name: str
    url: str
    ready: str
    process: subprocess.Popen[bytes]
    log: Any

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                raise NotStarted(f"{self.name} did not start: {self.log.read().decode()[-2000:]}")
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        """Also with the engine that it will keep, where it is ours."""
        with suppress(httpx.TransportError):
            is_ready = httpx.get(self.url + self.ready).status_code == 200
            ours = is_ready and self.ready == READY
            return is_ready and not (ours and info(self.url).get("choosing_engine"))
        return False

    def cpu_seconds(self) -> float:
        """Of its process so far, all threads; not a number where that is not Linux."""
        stat = Path(f"/proc/{self.process.pid}/stat")
        if not stat.is_file():
            return math.nan
        user, system = stat.read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def pause(self) -> None:
        """Nobody's turn but another's: it may not even poll."""
        os.killpg(self.process.pid, signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)  # until it has stopped

    def resume(self) -> None:
        os.killpg(self.process.pid, signal.SIGCONT)


@contextmanager
def started(
    name: str,
    command: Sequence[object],
    ready: str,
    environ: dict[str, str],
    folder: Path | None = None,
) -> Iterator[Server]:
    """Start `command`, in which {port} stands for a free port; it need not be ready yet."""
    port = free_port()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [str(part).replace(PORT, str(port)) for part in command],
            cwd=folder,
            env=os.environ | EVERYONES | environ,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            yield Server(name, f"http://127.0.0.1:{port}", ready, process, log)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def rerankd(
    *,
    program: str = "app.cli",
    folder: Path | None = None,
    environ: Mapping[str, str] = MappingProxyType({}),
    **settings: object,
) -> Iterator[Server]:
    """The service with these settings, which go before those in the environment; no cache.

    With `folder`, that of another checkout: Python finds its `app` before the installed package.
    """
    ours = {
        "cache_mb": 0,
        "state_cache_mb": 0,
        "log_level": "warning",
        "device": device(),
    } | settings
    with started(
        "rerankd" if program == "app.cli" else f"rerankd by {program}",
        [sys.executable, "-m", program, "serve", "--port", PORT],
        READY,
        {f"RERANKD_{name.upper()}": str(value) for name, value in ours.items()} | dict(environ),
        folder,
    ) as server:
        yield server


def device() -> str:
    return os.environ.get("RERANKD_DEVICE", "cpu")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def info(url: str) -> dict[str, Any]:
    """What the service tells of its model and engine."""
    body: dict[str, Any] = httpx.get(f"{url}/info").raise_for_status().json()
    return body


def metrics(exposition: str) -> dict[str, float]:
    """Values by their full name, labels and all."""
    lines = [line for line in exposition.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}
