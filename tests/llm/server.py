"""A server that speaks like a language model, and misbehaves on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from pydantic_core import from_json, to_json

Behave = Callable[["Exchange"], Awaitable[None]]


class Exchange:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.headers: dict[str, str] = {}
        self.body: dict[str, Any] = {}

    async def read(self) -> None:
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode().splitlines()[1:]
        self.headers = {
            name.lower(): value for name, value in (line.split(": ", 1) for line in head if line)
        }
        raw = await self._reader.readexactly(int(self.headers["content-length"]))
        self.body = from_json(raw)

    async def answer(self, status: int, body: bytes, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named |= {"Content-Length": str(len(body)), "Connection": "close"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        await self.send(f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + body)

    async def begin(self) -> None:
        head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked"
        await self.send(f"{head}\r\n\r\n".encode())

    async def event(self, data: Any) -> None:
        raw = b"data: " + (data if isinstance(data, bytes) else to_json(data)) + b"\n\n"
        await self.send(f"{len(raw):x}\r\n".encode() + raw + b"\r\n")

    async def end(self) -> None:
        await self.send(b"0\r\n\r\n")

    async def send(self, raw: bytes) -> None:
        self._writer.write(raw)
        await self._writer.drain()

    async def wait_until_gone(self) -> None:
        while await self._reader.read(1024):
            pass


class LLMServer:
    """Behaves by its script, one entry a request, the last one for ever."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.script: list[Behave] = []
        self.requests: list[Exchange] = []
        self.reached = asyncio.Event()
        self.gone = asyncio.Event()  # a client that hung up before it had everything

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        exchange = Exchange(reader, writer)
        try:
            await exchange.read()
            behave = self.script[min(len(self.requests), len(self.script) - 1)]
            self.requests.append(exchange)
            self.reached.set()
            await behave(exchange)
        finally:
            writer.close()

    def hangs(self) -> Behave:
        async def behave(exchange: Exchange) -> None:
            await exchange.wait_until_gone()
            self.gone.set()

        return behave

    def hangs_in_the_middle(self, *pieces: str) -> Behave:
        async def behave(exchange: Exchange) -> None:
            await exchange.begin()
            for piece in pieces:
                await exchange.event(delta(piece))
            await exchange.wait_until_gone()
            self.gone.set()

        return behave


def delta(text: str | None, finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]}


USAGE = {"prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100}


def says(*pieces: str, usage: dict[str, int] | None = USAGE, finish: str = "stop") -> Behave:
    """Whole, or streamed on request."""

    async def behave(exchange: Exchange) -> None:
        if not exchange.body.get("stream"):
            choice = {"message": {"content": "".join(pieces)}, "finish_reason": finish}
            await exchange.answer(200, to_json({"choices": [choice], "usage": usage}))
            return
        await exchange.begin()
        for piece in pieces:
            await exchange.event(delta(piece))
        await exchange.event(delta(None, finish))
        if usage:
            await exchange.event({"choices": [], "usage": usage})
        await exchange.event(b"[DONE]")
        await exchange.end()

    return behave


def refuses(status: int, **headers: str) -> Behave:
    async def behave(exchange: Exchange) -> None:
        await exchange.answer(
            status, b'{"error": {"message": "what you sent was: ..."}}', **headers
        )

    return behave


def sends(raw: bytes) -> Behave:
    async def behave(exchange: Exchange) -> None:
        await exchange.answer(200, raw)

    return behave


def breaks_off(*pieces: str) -> Behave:
    async def behave(exchange: Exchange) -> None:
        await exchange.begin()
        for piece in pieces:
            await exchange.event(delta(piece))

    return behave


@asynccontextmanager
async def llm_server(*script: Behave) -> AsyncIterator[LLMServer]:
    llm = LLMServer("")
    server = await asyncio.start_server(llm.serve, "127.0.0.1", 0)
    llm.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    llm.script = list(script)
    async with server:
        yield llm
