"""The whole service in this process, over a small real model."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from asgi_lifespan import LifespanManager
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from app.answer.pipeline import Retrieves
from app.errors import LoadFailed
from app.main import create_app
from app.metrics import Metrics
from app.settings import Settings, load


class Desk:
    """Opens the whole service in this process, over a small real model."""

    def __init__(self, model: Path, retriever: Retrieves | None = None) -> None:
        self.model = model
        self.retriever = retriever
        self.app: FastAPI

    @asynccontextmanager
    async def open(self, **settings: Any) -> AsyncIterator[AsyncClient]:
        def fatal(error: LoadFailed) -> None:
            raise error

        @asynccontextmanager
        async def first_stage(_: Settings, __: Metrics) -> AsyncIterator[Retrieves | None]:
            yield self.retriever

        ours = {"model": str(self.model), "device": "cpu", "engine": "torch", **settings}
        self.app = create_app(load({}, **ours), fatal, first_stage)
        async with LifespanManager(self.app):
            await self.app.state.service.settled()
            transport = ASGITransport(self.app)
            async with AsyncClient(transport=transport, base_url="http://test") as client:
                yield client

    @asynccontextmanager
    async def listening(
        self, listener: socket.socket | None = None, **settings: Any
    ) -> AsyncIterator[str]:
        """Over a real socket, for clients that go away and for other services."""
        async with self.open(**settings):
            config = uvicorn.Config(
                self.app, port=0, lifespan="off", log_config=None, http="httptools", loop="asyncio"
            )
            server = Announced(config)
            task = asyncio.create_task(server.serve([listener] if listener else None))
            await server.up.wait()
            try:
                yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
            finally:
                server.should_exit = True
                await task


class Announced(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.up.set()
