"""`rerankd serve`."""

from __future__ import annotations

import argparse
import asyncio
import signal
from types import FrameType

import uvicorn

from app import logs
from app.api.auth import BadKeyFile
from app.commands.flags import add_flags, settings_from, stop
from app.errors import LoadFailed
from app.main import create_app
from app.service import Service
from app.settings import Settings

GRACE_SECONDS = 5  # for connections still open once everything accepted is answered


class Server(uvicorn.Server):
    """Drains before it closes its socket, so that newcomers get an answer and not a refusal."""

    def __init__(self, config: uvicorn.Config, service: Service, drain_seconds: float) -> None:
        super().__init__(config)
        self._service = service
        self._drain_seconds = drain_seconds
        self._draining: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)  # type: ignore[arg-type]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains, the second ends at once."""
        if self._loop is None or self._draining is not None or sig != signal.SIGTERM:
            super().handle_exit(sig, frame)
        else:
            self._loop.call_soon_threadsafe(self._start_draining)

    def _start_draining(self) -> None:
        self._draining = asyncio.create_task(self._drain(), name="drain")

    async def _drain(self) -> None:
        await self._service.drain(self._drain_seconds)
        self.should_exit = True


def configure(parser: argparse.ArgumentParser) -> None:
    add_flags(parser, list(Settings.model_fields))


def run(arguments: argparse.Namespace) -> int:
    settings = settings_from(arguments)
    logs.configure(settings.log_level, settings.log_format)
    failures: list[LoadFailed] = []

    def fatal(error: LoadFailed) -> None:
        failures.append(error)
        server.should_exit = True

    try:
        app = create_app(settings, fatal)
    except BadKeyFile as error:
        stop(str(error), 2)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="asyncio",  # its clock is exact; uvloop's counts whole milliseconds
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = Server(config, app.state.service, settings.drain_seconds)
    server.run()
    if failures:
        stop(str(failures[0]), 1)
    return 0
