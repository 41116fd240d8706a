"""A real Redis in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import threading
from pathlib import Path

from tests.deploy.processes import free_port

START_SECONDS = 20


class RedisProcess:
    """`start` may be called again after `kill`: it comes back empty, at the same port."""

    def __init__(
        self, folder: Path, *options: str, tls: bool = False, program: str = "redis-server"
    ) -> None:
        self.port = free_port()
        self._folder = folder
        ports = ("--port", "0", "--tls-port") if tls else ("--port",)
        self._command = [
            *(program, *ports, str(self.port), "--bind", "127.0.0.1"),
            *("--save", "", "--appendonly", "no", "--dir", str(folder), *options),
        ]
        self._process: subprocess.Popen[str]
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        watchdog = threading.Timer(START_SECONDS, self._process.kill)
        watchdog.start()
        for line in self._process.stdout:
            if "Ready to accept connections" in line:
                break
        else:
            raise AssertionError("redis-server did not start")
        watchdog.cancel()

    def stall(self) -> None:
        """It keeps its connections and answers nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()
