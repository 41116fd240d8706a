"""One connection: uvicorn's HTTP protocol with limits on time and memory for each client."""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from app.server.clocks import BodyClock, ClockedFlow
from app.server.connections import Connections
from app.server.outlet import Outlet
from app.server.refusals import (
    DRAINING,
    HEADER_TOO_LARGE,
    MALFORMED_HTTP,
    REQUEST_TIMEOUT,
    TOO_MANY_CONNECTIONS,
    Refusal,
    write_refusal,
)

# A client may send these after a request (RFC 9112, 2.2).
BLANK_LINES = b"\r\n"
# The parser also accepts 0.9, which has no headers.
HTTP_VERSIONS = ("1.1", "1.0")


class Phase(Enum):
    SILENT = auto()  # nothing received yet
    HEAD = auto()  # part of a request line and headers
    BODY = auto()
    ANSWER = auto()  # the request is complete, its answer is not
    IDLE = auto()  # kept alive between requests
    LEAVING = auto()  # refused, or answered and closed: further bytes are discarded


UNFINISHED = (Phase.HEAD, Phase.BODY)


class StopParsing(Exception):
    """Raised in a parser callback to stop the parser."""


class LimitedProtocol(HttpToolsProtocol):
    outlet: Outlet

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        connections: Connections,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.limits = connections.limits
        self.phase = Phase.SILENT
        self.reserved = False
        self._registry = connections
        self._since = 0.0  # when this phase began
        self._body_clock = BodyClock(self.loop)
        self._undelivered = 0  # bytes parsed since the last byte that is for the application
        self._delivered = 0  # body bytes in the piece that is being parsed
        self._head_ended = False  # the head ended in that piece
        self._discarded = 0
        self._pipelined = False
        self._upgrade = False
        self._refusal: tuple[Refusal, str] | None = None  # why the parser was stopped

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.outlet = Outlet(transport, lambda: self._registry.unread_changed(self))
        super().connection_made(self.outlet)
        self.flow = ClockedFlow(self.outlet, self._body_clock)
        self._since = self.loop.time()
        self._registry.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._registry.closed(self)
        self.outlet.forget()
        super().connection_lost(exc)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """A half-close is a disconnect, unless a complete answer is still being sent."""
        if not self.outlet.unread or not self._answered():
            return None
        self.outlet.linger = False
        self.outlet.close()
        return True

    def pause_writing(self) -> None:
        self.outlet.pause()
        super().pause_writing()

    def resume_writing(self) -> None:
        if self.outlet.resume():
            super().resume_writing()

    def shutdown(self) -> None:
        """Do not wait for the rest of a body that is still arriving."""
        if self.phase is Phase.BODY and not self._answered():
            self.refuse(DRAINING, "the service is shutting down", "draining")
        elif self.phase is not Phase.LEAVING:
            super().shutdown()

    def _answered(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    # Bytes

    def data_received(self, data: bytes) -> None:
        while data:
            phase = self.phase
            if phase is Phase.IDLE or phase is Phase.SILENT:
                self._begin_head()
            elif phase is Phase.BODY:
                self._body_clock.restart_idle()
            elif phase is Phase.ANSWER:
                self._keep_for_no_answer(data)
                return
            elif phase is Phase.LEAVING:
                self._discard(len(data))
                return
            room = self.limits.header_bytes - self._undelivered
            data = self._parse(data[:room]) + data[room:]

    def _parse(self, piece: bytes) -> bytes:
        """Parse `piece`, which is within the header limit; return the bytes after an upgrade."""
        self._delivered, self._head_ended, rest = 0, False, b""
        try:
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:
                rest = piece[upgrade.args[0] :]
                if self._upgrade:
                    self._parse_without_upgrade()
        except httptools.HttpParserError:
            self._parser_stopped(piece)
            return b""
        self._count(len(piece))
        return rest

    def _count(self, size: int) -> None:
        """Other bytes of a piece count as if they came after its body bytes, because their order is
        unknown. Chunk framing takes at most 6 bytes per body byte, far below the limit."""
        if self._head_ended:
            self._undelivered = 0
        elif self._delivered:
            self._undelivered = size - self._delivered
        else:
            self._undelivered += size
        if self._undelivered >= self.limits.header_bytes and self.phase in UNFINISHED:
            self.refuse(*self._too_large())

    def _parser_stopped(self, piece: bytes) -> None:
        if self._pipelined:
            self._keep_for_no_answer(piece)
        elif self._refusal is not None:
            self.refuse(*self._refusal)
        else:
            self.refuse(MALFORMED_HTTP, "the bytes received are not an HTTP/1.1 request")

    def _parse_without_upgrade(self) -> None:
        """The parser stops after the head of a request to change the protocol. This server
        supports no other protocol, so it parses the head again without `Upgrade` and serves the
        request with its body as HTTP/1.1 (RFC 9110, 7.8)."""
        self._upgrade = False
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s" % field for field in self.headers if field[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.parser.feed_data(b"\r\n".join([*lines, b"", b""]))

    def _keep_for_no_answer(self, data: bytes) -> None:
        """Discard a pipelined request. Reading continues in order to notice a disconnect."""
        if not data.strip(BLANK_LINES):
            return
        self.cycle.keep_alive = False
        self.outlet.linger = True
        self._discard(len(data))

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded <= self.limits.discarded_bytes:
            return
        if self.phase is Phase.LEAVING:
            self.outlet.abort()
        else:
            self.drop("pipelined")

    # Parser callbacks

    def on_message_begin(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._pipelined = True
            raise StopParsing
        if self.phase is not Phase.HEAD:
            self._begin_head()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.phase is not Phase.HEAD:
            return  # a trailer, which is ignored
        if len(self.headers) >= self.limits.header_count:
            self._stop_parsing(*self._too_large())
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.parser.get_http_version() not in HTTP_VERSIONS:
            raise StopParsing
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._upgrade = True
            return
        self._registry.head_complete(self)
        if self.reserved and self.url.partition(b"?")[0] not in self.limits.reserve_paths:
            self._stop_parsing(
                TOO_MANY_CONNECTIONS,
                f"all {self.limits.connections} connections are busy (max_connections)",
            )
        super().on_headers_complete()
        self._head_ended = True
        self.phase = Phase.BODY
        self.outlet.linger = True
        self._body_clock.start(paused=self.expect_100_continue)
        if self.reserved or self._registry.draining:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._delivered += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._upgrade:
            return
        super().on_message_complete()
        self.outlet.linger = False
        if self.cycle.response_complete:
            self._become_idle()
        else:
            self.phase = Phase.ANSWER

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            if self.outlet.linger:
                self._leave()
            return
        if self.phase is not Phase.ANSWER:  # the rest of the body is read and discarded
            self.flow.resume_reading()
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        self._become_idle()

    def _stop_parsing(self, refusal: Refusal, detail: str) -> None:
        self._refusal = refusal, detail
        raise StopParsing

    def _too_large(self) -> tuple[Refusal, str]:
        return HEADER_TOO_LARGE, (
            f"the request line and headers exceed {self.limits.header_bytes} bytes "
            f"(max_header_bytes) or {self.limits.header_count} fields"
        )

    # Phases

    def _begin_head(self) -> None:
        self.phase = Phase.HEAD
        self._since = self.loop.time()
        self._undelivered = 0

    def _become_idle(self) -> None:
        self.phase = Phase.IDLE
        self._since = self.loop.time()
        self._registry.became_idle(self)

    def _leave(self) -> None:
        self.phase = Phase.LEAVING
        self._since = self.loop.time()
        self._registry.leaving(self)

    def check(self, now: float) -> None:
        limits, seconds = self.limits, now - self._since
        match self.phase:
            case Phase.SILENT if seconds >= limits.header_seconds:
                self._registry.report_closing("header_timeout")
                self.outlet.close_now()
            case Phase.HEAD if seconds >= limits.header_seconds:
                detail = f"the headers did not arrive within {limits.header_seconds:g} s"
                self.refuse(REQUEST_TIMEOUT, f"{detail} (header_seconds)", "header_timeout")
            case Phase.BODY if self._body_clock.exceeds(
                limits.body_idle_seconds, limits.body_seconds
            ):
                detail = (
                    f"the body did not arrive within {limits.body_seconds:g} s (body_seconds), "
                    f"or nothing of it for {limits.body_idle_seconds:g} s (body_idle_seconds)"
                )
                self.refuse(REQUEST_TIMEOUT, detail, "body_timeout")
            case Phase.IDLE if seconds >= limits.keep_alive_seconds:
                self.outlet.linger = False
                self.outlet.close()
            case Phase.LEAVING if seconds >= limits.linger_seconds and not self.outlet.unread:
                self.outlet.close_now()

    # Refusals and closing

    def refuse(self, refusal: Refusal, detail: str, reason: str = "") -> None:
        """Answer in place of the application, and close."""
        if not self._answered():
            self._withdraw(refusal)
            if self.cycle.response_started:
                self.drop(reason or refusal.type)
                return
        self._registry.report_closing(reason or refusal.type)
        self.outlet.linger = self.phase is not Phase.SILENT
        if self.phase is not Phase.BODY or not self._answered():  # else the client has its answer
            response = write_refusal(refusal, detail, self.server_state.default_headers)
            self.outlet.write(response)
        self.outlet.close()
        self._leave()

    def _withdraw(self, refusal: Refusal) -> None:
        """Report a disconnect to the application; store the refusal in the scope for the log."""
        scope: dict[str, Any] = self.cycle.scope  # type: ignore[assignment]
        scope["refused"] = (refusal.status, refusal.type)
        self.cycle.disconnected = True
        self.cycle.message_event.set()

    def refuse_newcomer(self) -> None:
        self.refuse(TOO_MANY_CONNECTIONS, "all connections are busy (max_connections)")

    def evict(self) -> None:
        self._registry.report_closing("evicted")
        self.outlet.close_now()

    def drop(self, reason: str) -> None:
        self._registry.report_closing(reason)
        self.outlet.abort()

    def close_after_answer(self) -> None:
        if not self._answered():
            self.cycle.keep_alive = False
