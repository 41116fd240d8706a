"""A server over wires of memory in virtual time, or over real sockets, with a small application."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

from uvicorn.server import ServerState

from app.events import ConnectionClosed, Event, Observe, ignore
from app.server.connections import Connections
from app.server.exit_limit import ExitLimit
from app.server.leaving import Times
from app.server.limits import Limits
from app.server.listening import listen
from app.server.protocol import LimitedProtocol
from app.server.serving import Server, make_config

HIGH_WATER, LOW_WATER = 65_536, 16_384
UNLIMITED = 1 << 40
NO_TIMES = Times(drain=0)
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def make_limits(**changes: Any) -> Limits:
    defaults: dict[str, Any] = {
        "connections": 100,
        "header_bytes": 65_536,
        "header_seconds": 10,
        "body_idle_seconds": 10,
        "body_seconds": 60,
        "write_stall_seconds": 30,
        "keep_alive_seconds": 75,
        "unread_bytes": 1 << 28,
        "reserve_paths": frozenset({b"/healthz"}),
    }
    return Limits(**defaults | changes)


def post(body: bytes = b"", *fields: str, path: str = "/", size: int | None = None) -> bytes:
    length = len(body) if size is None else size
    head = [f"POST {path} HTTP/1.1", "Host: a", f"Content-Length: {length}", *fields]
    return "\r\n".join([*head, "", ""]).encode() + body


class App:
    """Tells what it was asked. /wait holds its answer, /early reads no body, /lazy reads late."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.bodies: list[bytes] = []
        self.gone = 0
        self.release = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        if scope["path"] == "/lazy":
            await self.release.wait()
        if scope["path"] != "/early" and not await self._read(receive):
            self.gone += 1
            return
        if scope["path"] == "/wait" and not await self._released(receive):
            self.gone += 1
            return
        query = parse_qs(scope["query_string"].decode())
        await self._answer(send, b"a" * int(query.get("bytes", ["2"])[0]))

    async def _read(self, receive: Any) -> bool:
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            body += message["body"]
            if not message["more_body"]:
                self.bodies.append(body)
                return True

    async def _released(self, receive: Any) -> bool:
        going = asyncio.ensure_future(receive())
        release = asyncio.ensure_future(self.release.wait())
        done, pending = await asyncio.wait([going, release], return_when="FIRST_COMPLETED")
        for task in pending:
            task.cancel()
        return release in done

    async def _answer(self, send: Any, body: bytes) -> None:
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


class Wire(asyncio.Transport):
    """The server's end of a connection whose kernel takes `room` bytes until they are read."""

    def __init__(self, protocol: LimitedProtocol, room: int = UNLIMITED) -> None:
        super().__init__({"peername": ("127.0.0.1", 1), "sockname": ("127.0.0.1", 2)})
        self.sent = bytearray()
        self.eof = self.closed = self.aborted = False
        self.reset = False  # the caller has reset the connection, which is not noticed yet
        self.reading = True
        self._protocol = protocol
        self._room = room
        self._buffer = bytearray()
        self._paused = self._closing = False
        protocol.connection_made(self)

    # As the caller uses it

    async def send(self, data: bytes) -> None:
        """In one piece, unless the server does not read."""
        while data and not self.closed:
            if self.reading:
                self._protocol.data_received(data[:262_144])
                data = data[262_144:]
            await settle()

    async def read(self, size: int) -> None:
        self._room += size
        self._flush()
        await settle()

    async def leave(self) -> None:
        if not self._protocol.eof_received():
            self.close()
        await settle()

    @property
    def status(self) -> int:
        """Of the first answer; 0 without any."""
        return int(self.sent[9:12] or b"0")

    @property
    def problem(self) -> dict[str, Any]:
        problem: dict[str, Any] = json.loads(bytes(self.sent).partition(b"\r\n\r\n")[2])
        return problem

    # As the server uses it

    def write(self, data: Any) -> None:
        assert not self.eof, "written after the end"
        if not self.closed:
            self._buffer += data
            self._flush()
            if len(self._buffer) > HIGH_WATER and not self._paused:
                self._paused = True
                self._protocol.pause_writing()

    def _flush(self) -> None:
        part = self._buffer[: self._room]
        self.sent += part
        self._room -= len(part)
        del self._buffer[: len(part)]
        if self._paused and len(self._buffer) <= LOW_WATER:
            self._paused = False
            self._protocol.resume_writing()
        if self._closing and not self._buffer:
            self._lose()

    def get_write_buffer_size(self) -> int:
        return len(self._buffer)

    def write_eof(self) -> None:
        if self.reset:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        self.eof = True

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        self._closing, self.reading = True, False
        if not self._buffer:
            self._lose()

    def abort(self) -> None:
        self.aborted = True
        self._buffer.clear()
        self.close()

    def _lose(self) -> None:
        if not self.closed:
            self.closed = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = not self._closing


def on_closing(report: Callable[[str], None]) -> Observe:
    """An observer that reports why a connection is closed."""

    def observe(event: Event) -> None:
        assert isinstance(event, ConnectionClosed)
        report(event.reason)

    return observe


class House:
    """A server without sockets: connections are opened by hand, and time is virtual."""

    def __init__(self, app: Any = None, **limits: Any) -> None:
        self.app: Any = app or App()
        self.reasons: list[str] = []
        self.connections = Connections(make_limits(**limits), on_closing(self.reasons.append))
        self._config = make_config(self.app, self.connections, lifespan=False)
        self._config.load()
        self._state = ServerState()

    async def connect(self, sent: bytes = b"", *, room: int = UNLIMITED) -> Wire:
        protocol: Any = self._config.http_protocol_class
        wire = Wire(protocol(self._config, self._state, {}), room)
        await settle()
        await wire.send(sent)
        return wire

    def shut_down(self) -> None:
        for connection in list(self._state.connections):
            connection.shutdown()


async def settle() -> None:
    """Let everything run that can run now."""
    for _ in range(20):
        await asyncio.sleep(0)


class Leaver:
    """A service that ends its drain when the test allows it, and that could serve until then."""

    def __init__(self, *, drained: bool = True, can_serve: bool = True) -> None:
        self.can_serve = can_serve
        self.drained = asyncio.Event()
        self.drains: list[tuple[float, bool]] = []  # seconds, and whether newcomers are refused
        self.draining = asyncio.Event()
        self._leaving = asyncio.Event()
        if drained:
            self.drained.set()

    def leave(self) -> None:
        self._leaving.set()

    async def leave_requested(self) -> None:
        await self._leaving.wait()

    async def drain(self, seconds: float, *, refuse: bool) -> None:
        self.drains.append((seconds, refuse))
        self.draining.set()
        await self.drained.wait()


@asynccontextmanager
async def serving(
    app: Any,
    observe: Observe = ignore,
    service: Leaver | None = None,
    times: Times = NO_TIMES,
    exit_limit: ExitLimit | None = None,
    **limits: Any,
) -> AsyncIterator[tuple[Server, tuple[str, int]]]:
    """Over real sockets of loopback; the server, and its address."""
    listener = listen("127.0.0.1", 0)
    server = Server(
        app,
        make_limits(**limits),
        service=service or Leaver(),
        times=times,
        observe=observe,
        exit_limit=exit_limit,
        lifespan=False,
    )
    task = asyncio.create_task(server.serve([listener]))
    await server.listening.wait()
    try:
        yield server, listener.getsockname()
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def connected(
    address: tuple[str, int], *, receive_buffer: int = 0
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(sock, address)
    except OSError:
        sock.close()
        raise
    reader, writer = await asyncio.open_connection(sock=sock)
    try:
        yield reader, writer
    finally:
        writer.close()


async def exchange(address: tuple[str, int], sent: bytes) -> bytes:
    """All that comes back until the server closes."""
    async with asyncio.timeout(20), connected(address) as (reader, writer):
        writer.write(sent)
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""
