"""`helm test`: what its pod runs, against a real service and against broken ones."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.deploy.chart.rendering import Chart
from tests.deploy.processes import free_port
from tests.live import service as live

KEY = "a-key-of-a-caller"


@pytest.fixture(scope="module")
def secured() -> Iterator[str]:
    """The service with the bundled model and keys."""
    with live.running(api_keys=f"another-key,{KEY}", offline=True, threads=1) as service:
        yield service.url


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "api-keys"
    file.write_text(f"# of the search team\n\n{KEY}\n")
    return file


def run(chart: Chart, url: str, keys: Path | None) -> tuple[int, str]:
    """The pod's command, at another address and with the Secret's file elsewhere."""
    values = {"keys": {"existingSecret": "keys"}} if keys else {}
    pod = chart.render(values).the("Pod", "rerankd-test")["spec"]
    (container,) = pod["containers"]
    program, *options = container["command"]
    script, _, *files = container["args"]
    assert (program, len(files)) == ("python", 1 if keys else 0)
    command = [sys.executable, *options, script, url, *([str(keys)] if keys else [])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@contextmanager
def answering(body: bytes, status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_it_passes_where_the_service_ranks_the_pair(
    chart: Chart, secured: str, key_file: Path
) -> None:
    code, printed = run(chart, secured, key_file)
    assert (code, printed) == (0, f"{secured} ranks the passage that answers first\n")


def test_it_fails_with_a_wrong_key(chart: Chart, secured: str, key_file: Path) -> None:
    key_file.write_text("wrong")
    code, printed = run(chart, secured, key_file)
    assert code == 1
    assert "POST /rerank: 401" in printed


def test_it_fails_if_a_key_is_needed_and_there_is_none(chart: Chart, secured: str) -> None:
    code, printed = run(chart, secured, None)
    assert code == 1
    assert "POST /rerank: 401" in printed


def test_it_fails_if_the_service_asks_for_no_key_although_there_are_keys(
    chart: Chart, key_file: Path
) -> None:
    with answering(b'{"results": [{"index": 1}, {"index": 0}]}') as url:
        assert run(chart, url, None)[0] == 0
        code, printed = run(chart, url, key_file)
    assert code == 1
    assert "a request without a key was answered, although there are keys" in printed


def test_it_fails_if_the_order_is_wrong(chart: Chart) -> None:
    with answering(b'{"results": [{"index": 0}, {"index": 1}]}') as url:
        code, printed = run(chart, url, None)
    assert code == 1
    assert "the passage that answers is not first" in printed


def test_it_fails_and_says_why_if_the_service_cannot_rank(chart: Chart, key_file: Path) -> None:
    with answering(b'{"detail": "the model is loading"}', 503) as url:
        code, printed = run(chart, url, None)
        assert (code, "503" in printed, "the model is loading" in printed) == (1, True, True)
        code, printed = run(chart, url, key_file)
        assert "a request without a key got 503 instead of 401" in printed


def test_it_fails_if_nothing_listens(chart: Chart) -> None:
    code, printed = run(chart, f"http://127.0.0.1:{free_port()}", None)
    assert code == 1
    assert "POST /rerank: " in printed
