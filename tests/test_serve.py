"""What `rerankd serve` does once, so that no request has to wait for it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from typing import Any, cast

import pytest
import uvicorn

from app.api import warm_routes
from app.commands.serve import Server
from app.service import Service
from tests.desk import Desk
from tests.reliability.watchdog import watching

pytestmark = pytest.mark.anyio


class Loading:
    def __init__(self) -> None:
        self.loaded = asyncio.Event()

    async def settled(self) -> None:
        await self.loaded.wait()


@pytest.fixture
def unfrozen() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("unfrozen")
async def test_what_was_loaded_is_not_searched_for_garbage_again() -> None:
    service = Loading()
    app: Any = None
    server = Server(uvicorn.Config(app), cast("Service", service), drain_seconds=0)
    freezing = asyncio.create_task(server._freeze())
    await asyncio.sleep(0)
    assert gc.get_freeze_count() == 0
    service.loaded.set()
    await freezing
    assert gc.get_freeze_count() > 10_000


@pytest.mark.usefixtures("unfrozen")
async def test_the_first_request_finds_the_routes_prepared(desk: Desk) -> None:
    async with desk.open() as client:
        warm_routes(desk.app)
        gc.freeze()
        async with watching() as watch:
            await client.get("/healthz")
            await client.get("/nothing")
    assert watch.busy < 0.05
