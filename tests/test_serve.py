"""What `rerankd serve` does once, so that no request has to wait for it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from app.api import warm_routes
from app.server.serving import freeze_after
from tests.desk import Desk
from tests.reliability.watchdog import watching

pytestmark = pytest.mark.anyio


@pytest.fixture
def unfrozen() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


@pytest.mark.usefixtures("unfrozen")
async def test_what_was_loaded_is_not_searched_for_garbage_again() -> None:
    loaded = asyncio.Event()

    async def settled() -> None:
        await loaded.wait()

    freezing = asyncio.create_task(freeze_after(settled))
    await asyncio.sleep(0)
    assert gc.get_freeze_count() == 0
    loaded.set()
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
