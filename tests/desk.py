"""The whole service in this process, over a small real model."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from asgi_lifespan import LifespanManager
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from app.answer.answerer import Retrieves
from app.compose.app import create_app, create_server
from app.errors import LoadFailed
from app.events import Observe
from app.server.listening import listen
from app.server.serving import Server
from app.settings import Settings, load

DESCRIPTORS = 1024


class Desk:
    """Opens the whole service in this process, over a small real model."""

    def __init__(self, model: Path, retriever: Retrieves | None = None) -> None:
        self.model = model
        self.retriever = retriever
        self.app: FastAPI
        self.settings: Settings

    @asynccontextmanager
    async def open(self, **settings: Any) -> AsyncIterator[AsyncClient]:
        def fatal(error: LoadFailed) -> None:
            raise error

        @asynccontextmanager
        async def first_stage(_: Settings, __: Observe) -> AsyncIterator[Retrieves | None]:
            yield self.retriever

        ours = {"model": str(self.model), "device": "cpu", "engine": "torch", **settings}
        self.settings = load({}, **ours)
        self.app = create_app(self.settings, fatal, first_stage)
        async with LifespanManager(self.app):
            await self.app.state.wiring.service.settled()
            transport = ASGITransport(self.app)
            async with AsyncClient(transport=transport, base_url="http://test") as client:
                yield client

    @asynccontextmanager
    async def listening(
        self, listener: socket.socket | None = None, **settings: Any
    ) -> AsyncIterator[str]:
        """Over a real socket, for clients that go away and for other services."""
        async with self.open(**settings):
            listener = listener or listen("127.0.0.1", 0)
            server = create_server(self.app, self.settings, DESCRIPTORS, lifespan=False)
            async with serving(server, listener):
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@asynccontextmanager
async def serving(server: Server, listener: socket.socket) -> AsyncIterator[None]:
    task = asyncio.create_task(server.serve([listener]))
    await server.listening.wait()
    try:
        yield
    finally:
        server.should_exit = True
        await task
