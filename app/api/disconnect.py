"""Cancels the work on a request when the client disconnects; ASGI servers only report it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.context import context_of


class CancelOnDisconnect:
    """After the body is read, the only message left to receive is the disconnect."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = Exchange(receive, send)
        work = asyncio.ensure_future(self._app(scope, exchange.receive, exchange.send))
        watcher = asyncio.create_task(exchange.cancel_when_gone(work))
        try:
            await work
        except asyncio.CancelledError:
            if not exchange.gone.is_set():  # this task was cancelled from outside
                work.cancel()
                raise
            context_of(scope).outcome = "client_gone"
        finally:
            watcher.cancel()
            with suppress(asyncio.CancelledError):
                await watcher


class Exchange:
    def __init__(self, receive: Receive, send: Send) -> None:
        self.gone = asyncio.Event()
        self._receive = receive
        self._send = send
        self._body_read = asyncio.Event()
        self._answered = False

    async def receive(self) -> Message:
        """Return the body, then wait forever: a disconnect reaches the work as a cancellation."""
        if not self._body_read.is_set():
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.gone.set()
            if not message.get("more_body", False):
                self._body_read.set()
            if not self.gone.is_set():
                return message
        nothing: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        return await nothing

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._answered = True
        await self._send(message)

    async def cancel_when_gone(self, work: asyncio.Future[None]) -> None:
        await self._body_read.wait()
        if not self.gone.is_set():
            await self._receive()
        if not self._answered:
            self.gone.set()
            work.cancel()
