"""Opens what the tools of `rerankd mcp` use: a running service, or one in this process."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from app.api.wiring import wiring_of
from app.compose.app import create_app
from app.errors import LoadFailed
from app.mcp.forwarding import Forwarding
from app.settings import Settings
from app.upstream.reading import ACCEPTED_ENCODINGS

logger = logging.getLogger(__name__)

TIMEOUT = httpx.Timeout(300, connect=10)
# Nobody but this process reaches the application, so it needs no protection, and has no pages.
CLOSED = {
    "api_keys": (),
    "api_keys_file": None,
    "metrics_key": None,
    "admin_key": None,
    "allowed_hosts": (),
    "cors_origins": (),
    "docs": False,
    "ui": False,
}


@asynccontextmanager
async def open_remote(url: httpx.URL, settings: Settings) -> AsyncIterator[Forwarding]:
    keys = [key.get_secret_value() for key in settings.api_keys]
    authorization = {"Authorization": f"Bearer {keys[0]}"} if keys else {}
    async with httpx.AsyncClient(
        base_url=url, headers=ACCEPTED_ENCODINGS | authorization, timeout=TIMEOUT
    ) as client:
        yield Forwarding(client, f"the service at {url.copy_with(userinfo=b'')}")


def create_local(settings: Settings) -> FastAPI:
    """The whole service without a port.

    A model that cannot be loaded does not end the process: agents show the text of a failed call,
    but rarely the log of a server that is gone.
    """

    def fatal(error: LoadFailed) -> None:
        logger.error("mcp_without_model", extra={"fields": {"reason": str(error)}})

    return create_app(settings.model_copy(update=CLOSED), fatal)


@asynccontextmanager
async def open_local(app: FastAPI) -> AsyncIterator[Forwarding]:
    """Tools are listed while the model loads; calls wait for it."""
    service = wiring_of(app).service
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=transport, base_url="http://rerankd", timeout=TIMEOUT
        ) as client,
    ):
        yield Forwarding(client, "rerankd", service.settled)
        if service.loading:  # its thread would keep the process alive until it ends
            logging.shutdown()
            os._exit(0)
