"""A real Arize Phoenix: a collector of traces, in an environment and a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from tests.clients.environments import python_of

# It imports for 20 seconds of a processor.
START_SECONDS = 300
ARRIVAL_SECONDS = 30
PROJECT = "rerankd"


class Span(NamedTuple):
    name: str
    kind: str
    trace: str
    id: str
    parent: str | None
    status: str
    attributes: Mapping[str, Any]

    def documents(self, name: str, field: str) -> list[Any]:
        """A field of all documents of a list, in their order."""
        values: list[Any] = []
        while (key := f"{name}.{len(values)}.document.{field}") in self.attributes:
            values.append(self.attributes[key])
        return values


class Phoenix:
    def __init__(self, url: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.url = url
        self._process = process
        self._log = log

    def wait_until_up(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                if httpx.get(f"{self.url}/healthz").status_code == 200:
                    return
            except httpx.TransportError:
                assert self._process.poll() is None, self._log.read_text()[-4000:]
            assert time.monotonic() < deadline, self._log.read_text()[-4000:]
            time.sleep(0.1)

    def spans(self, count: int, **query: str) -> dict[str, Span]:
        """By their names, as soon as there are so many."""
        deadline = time.monotonic() + ARRIVAL_SECONDS
        path = f"/v1/projects/{PROJECT}/spans"
        with httpx.Client(base_url=self.url, timeout=ARRIVAL_SECONDS) as client:
            while True:
                response = client.get(path, params={"limit": "100", **query})
                rows = response.json()["data"] if response.status_code == 200 else []
                if len(rows) >= count:
                    return {row["name"]: as_span(row) for row in rows}
                assert time.monotonic() < deadline, response.text
                time.sleep(0.1)


def as_span(row: Mapping[str, Any]) -> Span:
    context = row["context"]
    return Span(
        row["name"],
        row["span_kind"],
        context["trace_id"],
        context["span_id"],
        row["parent_id"],
        row["status_code"],
        row["attributes"],
    )


@contextmanager
def phoenix(folder: Path) -> Iterator[Phoenix]:
    """Started, and not waited for."""
    port, grpc_port = free_ports(2)
    settings = {
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": str(port),
        "PHOENIX_GRPC_PORT": str(grpc_port),
        "PHOENIX_WORKING_DIR": str(folder),
        "PHOENIX_SQL_DATABASE_URL": "sqlite:///:memory:",
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(python_of("phoenix")), "-W", "ignore", "-m", "phoenix.server.main", "serve"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, env=kept | settings, cwd=folder, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield Phoenix(f"http://127.0.0.1:{port}", process, folder / "log")
        finally:
            process.kill()
            process.wait()


def free_ports(count: int) -> Sequence[int]:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports
