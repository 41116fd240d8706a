"""A server of our own in a store's place. What its documentation does not have, it reports."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import sqrt
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import to_json


class Strict(BaseModel):
    """A body as it is documented; anything else in it is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class StoreRequest(NamedTuple):
    method: str
    path: str
    params: Mapping[str, str]
    content_type: str
    body: bytes
    query: str = ""


class StoreResponse(NamedTuple):
    status: int
    body: Any


class Undocumented(Exception):
    """A request that the real store would not understand, or not as it is meant."""


class StandIn(Protocol):
    def answer(self, request: StoreRequest) -> StoreResponse: ...

    def left_open(self) -> list[str]:
        """What a client should have closed."""
        ...


def handling(store: StandIn, complaints: list[str]) -> type[BaseHTTPRequestHandler]:
    """Adds to the complaints what is not documented."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body leave together: otherwise the second packet waits for an acknowledgement.
        wbufsize = -1

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            parts = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            params = dict(parse_qsl(parts.query, keep_blank_values=True))
            kind = self.headers.get("Content-Type", "")
            try:
                response = store.answer(
                    StoreRequest(self.command, parts.path, params, kind, body, parts.query)
                )
            except (Undocumented, ValidationError) as error:
                complaints.append(f"{self.command} {self.path}: {error}")
                response = StoreResponse(501, {})
            content = to_json(response.body)
            self.send_response(response.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Nothing."""

    return Handler


@contextmanager
def serving(store: StandIn) -> Iterator[int]:
    """Yields the port. At the end the test fails if a request was not documented."""
    complaints: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), handling(store, complaints))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    if complaints or store.left_open():
        pytest.fail("\n".join([*complaints, *store.left_open()]))


def cosine(left: list[float], right: list[float]) -> float:
    product = sum(first * second for first, second in zip(left, right, strict=True))
    return product / (sqrt(sum(x * x for x in left)) * sqrt(sum(x * x for x in right)) or 1.0)


def at(fields: Mapping[str, Any], path: str) -> Any:
    """What stands under a dotted name; None where nothing does."""
    value: Any = fields
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def only(fields: Mapping[str, Any], paths: list[str]) -> dict[str, Any]:
    """Only these dotted names, nested as before."""
    kept: dict[str, Any] = {}
    for path in paths:
        if at(fields, path) is not None:
            *above, last = path.split(".")
            inner = kept
            for step in above:
                inner = inner.setdefault(step, {})
            inner[last] = at(fields, path)
    return kept
