"""One HTTP connection of a caller, small enough to break it at any byte."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass

HEAD_LIMIT = 65_536
RESET = struct.pack("ii", 1, 0)  # linger for 0 seconds: close() sends RST


class Broken(Exception):
    """The connection ended before the answer did."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def by_service(self) -> bool:
        """The service marks each of its answers; a load balancer's own have no such mark."""
        return "x-request-id" in self.headers


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int, *, receive_buffer: int = 0) -> Connection:
        endpoint = socket.socket()
        endpoint.setblocking(False)
        if receive_buffer:
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            await asyncio.get_running_loop().sock_connect(endpoint, ("127.0.0.1", port))
            return cls(*await asyncio.open_connection(sock=endpoint, limit=HEAD_LIMIT))
        except OSError as error:
            endpoint.close()
            raise Broken(f"no connection: {error}") from error

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        endpoint = self.writer.get_extra_info("socket")
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.writer.transport.abort()

    async def send(self, message: bytes) -> None:
        try:
            self.writer.write(message)
            await self.writer.drain()
        except OSError as error:
            raise Broken(f"while sending: {error}") from error

    async def receive(self) -> Answer:
        try:
            status, headers = await self.receive_head()
            length = int(headers.get("content-length", 0))
            return Answer(status, headers, await self.reader.readexactly(length))
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            raise Broken(f"while receiving: {type(error).__name__}") from error

    async def receive_head(self) -> tuple[int, dict[str, str]]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = (line.partition(":") for line in head[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in fields}
        return int(head[0].split(" ", 2)[1]), headers


def request(path: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: history\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
