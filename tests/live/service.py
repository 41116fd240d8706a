"""The service as its users have it: a process of its own, on a free port of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
from pydantic_core import from_json

# The first start of all converts the model and measures each backend.
START_SECONDS = 300
SERVE = (sys.executable, "-m", "app.cli", "serve")
STOP_SECONDS = ANSWER_SECONDS = 60


class LiveService:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.url = ""
        self.log: list[dict[str, Any]] = []
        self._listening = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            entry = from_json(line) if line.startswith("{") else {"event": line.strip()}
            self.log.append(entry)
            if entry["event"] == "listening":
                self.url = entry["url"]
                self._listening.set()

    def wait_until_listening(self) -> None:
        assert self._listening.wait(START_SECONDS), f"never listened: {self.log}"

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        with httpx.Client(base_url=self.url, timeout=ANSWER_SECONDS) as client:
            while client.get("/readyz").status_code != 200:
                assert self.process.poll() is None, f"ended: {self.log}"
                assert time.monotonic() < deadline, f"never ready: {self.log}"
                threading.Event().wait(0.05)

    def wait_until_engine_is_chosen(self) -> None:
        """What was measured is kept from test to test, so that only the first one waits."""
        deadline = time.monotonic() + START_SECONDS
        with httpx.Client(base_url=self.url, timeout=ANSWER_SECONDS) as client:
            while client.get("/info").json().get("choosing_engine"):
                assert time.monotonic() < deadline, f"never chosen: {self.log}"
                threading.Event().wait(0.05)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """The exit code, once the log has been read to its end."""
        self.process.send_signal(how)
        code = self.process.wait(STOP_SECONDS)
        self._reader.join()
        return code


@contextmanager
def running(
    *, wait: bool = True, program: Sequence[str] = SERVE, **settings: object
) -> Iterator[LiveService]:
    """Start `rerankd serve` with these settings; stopped at the end, whatever happens."""
    if "model" in settings:  # a small one, not worth converting
        settings = {"engine": "torch", **settings}
    ours = {f"RERANKD_{name.upper()}": str(value) for name, value in settings.items()}
    process = subprocess.Popen(
        [*program, "--port", "0", "--log-format", "json"],
        env=os.environ | {"RERANKD_DEVICE": "cpu"} | ours,
        stderr=subprocess.PIPE,
        text=True,
    )
    service = LiveService(process)
    try:
        service.wait_until_listening()
        if wait:
            service.wait_until_ready()
            service.wait_until_engine_is_chosen()
        yield service
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        service._reader.join()
        if process.stderr:
            process.stderr.close()


def scrape(client: httpx.Client) -> dict[str, float]:
    """Metric values by their full name, labels and all."""
    return scrape_text(client.get("/metrics").text)


def scrape_text(text: str) -> dict[str, float]:
    lines = text.splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}
