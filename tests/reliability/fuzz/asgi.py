"""Calls an ASGI app without a socket, and measures for how long each call held the loop."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message


@dataclass
class Response:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


async def post(app: ASGIApp, path: str, body: bytes) -> Response:
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [
            (b"host", b"fuzz"),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    response, parts = Response(), [body]
    forever: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

    async def receive() -> Message:
        if parts:
            return {"type": "http.request", "body": parts.pop(), "more_body": False}
        return await forever

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            response.status = message["status"]
            response.headers = {
                name.decode().lower(): value.decode("latin-1") for name, value in message["headers"]
            }
        else:
            response.body += message.get("body", b"")

    await app(scope, receive, send)
    return response


class Watchdog:
    """The longest single step of the loop, by the clock of the processor."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._started = 0.0

    def begin(self) -> None:
        self._started = time.thread_time()

    def end(self) -> float:
        held = time.thread_time() - self._started
        self.longest = max(self.longest, held)
        return held
