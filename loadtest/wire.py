"""An HTTP client that costs little: it shares its processors with the service it measures."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

LARGEST_HEAD = 2**16
IDLE_SECONDS = 2.0  # servers close connections that are idle for longer than a few


class ServerFailed(Exception):
    """It closed the connection, or said something that is not the HTTP spoken here."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    retry_after: float = 0.0  # seconds, where the server says so


class Connection:
    """One keep-alive connection; one exchange at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def exchange(self, message: bytes) -> Answer:
        try:
            self._writer.write(message)
            await self._writer.drain()
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            fields = fields_of(head[1:])
            body = await self._reader.readexactly(length_of(fields))
        except (OSError, EOFError, asyncio.LimitOverrunError) as error:
            raise ServerFailed(f"the connection broke: {type(error).__name__}") from error
        return Answer(int(head[0].split(" ", 2)[1]), body, hint_of(fields))

    def close(self) -> None:
        self._writer.close()


def fields_of(lines: list[str]) -> dict[str, str]:
    parts = (line.partition(":") for line in lines)
    return {name.lower(): value.strip() for name, _, value in parts}


def length_of(fields: dict[str, str]) -> int:
    if "content-length" not in fields:
        raise ServerFailed("an answer without Content-Length")
    return int(fields["content-length"])


def hint_of(fields: dict[str, str]) -> float:
    if "retry-after-ms" in fields:
        return float(fields["retry-after-ms"]) / 1000
    return float(fields.get("retry-after", 0))


class Client:
    """As many connections as there are exchanges at once; idle ones are used again."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._idle: list[tuple[float, Connection]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for _, connection in self._idle:
            connection.close()

    async def post(self, path: str, body: bytes) -> Answer:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return await self._exchange(head.encode() + body)

    async def get(self, path: str) -> Answer:
        return await self._exchange(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())

    async def _exchange(self, message: bytes) -> Answer:
        connection = self._take_idle() or await self._connect()
        try:
            answer = await connection.exchange(message)
        except BaseException:
            connection.close()
            raise
        self._idle.append((time.monotonic(), connection))
        return answer

    def _take_idle(self) -> Connection | None:
        """The one used last; the others have been idle for longer than it."""
        oldest = time.monotonic() - IDLE_SECONDS
        if self._idle and self._idle[-1][0] > oldest:
            return self._idle.pop()[1]
        for _, connection in self._idle:
            connection.close()
        self._idle.clear()
        return None

    async def _connect(self) -> Connection:
        try:
            opened = await asyncio.open_connection(self._host, self._port, limit=LARGEST_HEAD)
        except OSError as error:
            raise ServerFailed(f"no connection: {error.strerror}") from error
        return Connection(*opened)
