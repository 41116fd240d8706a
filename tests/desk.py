"""The whole service in this process, over a small real model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

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
