"""A log that nobody reads: whatever starts the service may leave its pipe alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.deploy.processes import free_port, until
from tests.live.service import START_SECONDS, scrape

STOP_SECONDS = 30
BODY = {"query": "q", "documents": ["a"]}


@contextmanager
def unread(model: Path, **environ: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port()
    ours = {"RERANKD_DEVICE": "cpu", "RERANKD_ENGINE": "torch", "RERANKD_MODEL": str(model)}
    with subprocess.Popen(
        [sys.executable, "-m", "app.cli", "serve", "--port", str(port), "--log-format", "json"],
        env=os.environ | ours | environ,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process, f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def test_a_pipe_that_nobody_reads_holds_neither_requests_nor_the_exit(model: Path) -> None:
    """A pipe takes 64 KiB; a thousand requests write three times as much."""
    with unread(model) as (process, url):
        with httpx.Client(base_url=url, timeout=10) as client:
            until(lambda: is_ready(client), "the service is ready", START_SECONDS)
            for _ in range(1000):
                assert client.post("/rerank", json=BODY).status_code == 200
            assert client.get("/healthz").status_code == 200
            assert scrape(client)["rerankd_log_lines_dropped_total"] == 0  # they wait
        process.terminate()
        assert process.wait(STOP_SECONDS) == 0
