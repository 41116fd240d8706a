"""The whole service in this process, over a small real model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from asgi_lifespan import LifespanManager
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from app.errors import LoadFailed
from app.main import create_app
from app.settings import load


class Desk:
    """Opens the whole service in this process, over a small real model."""

    def __init__(self, model: Path) -> None:
        self.model = model
        self.app: FastAPI

    @asynccontextmanager
    async def open(self, **settings: Any) -> AsyncIterator[AsyncClient]:
        def fatal(error: LoadFailed) -> None:
            raise error

        ours = {"model": str(self.model), "device": "cpu", "engine": "torch", **settings}
        self.app = create_app(load({}, **ours), fatal)
        async with LifespanManager(self.app):
            await self.app.state.service.settled()
            transport = ASGITransport(self.app)
            async with AsyncClient(transport=transport, base_url="http://test") as client:
                yield client
