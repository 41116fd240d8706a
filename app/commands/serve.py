"""`rerankd serve`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import socket
from contextlib import suppress
from types import FrameType

import uvicorn

from app import logs
from app.api import warm_routes
from app.api.auth import BadKeyFile
from app.commands.flags import add_flags, settings_from, stop
from app.errors import LoadFailed
from app.main import create_app
from app.service import Service
from app.settings import Settings

logger = logging.getLogger(__name__)

BACKLOG = 2048
GRACE_SECONDS = 5  # for connections still open once everything accepted is answered


class Server(uvicorn.Server):
    """Drains before it closes its socket, so that newcomers get an answer and not a refusal."""

    def __init__(self, config: uvicorn.Config, service: Service, drain_seconds: float) -> None:
        super().__init__(config)
        self._service = service
        self._drain_seconds = drain_seconds
        self._draining: asyncio.Task[None] | None = None
        self._freezing: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self._freezing = asyncio.create_task(self._freeze(), name="freeze")

    async def _freeze(self) -> None:
        """Let the garbage collector pass over what stays for good, once it is loaded.

        The libraries hold half a million objects: each full search held the loop for 0.3 s.
        """
        await self._service.settled()
        gc.collect()
        gc.freeze()

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
        warm_routes(app)
    except BadKeyFile as error:
        stop(str(error), 2)
    listener = listen(settings.host, settings.port)
    config = uvicorn.Config(
        app,
        loop="asyncio",  # its clock is exact; uvloop's counts whole milliseconds
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = Server(config, app.state.service, settings.drain_seconds)
    with suppress(KeyboardInterrupt):  # uvicorn raises Ctrl-C once more when it has shut down
        server.run(sockets=[listener])
    if failures:
        stop(str(failures[0]), 1)
    if app.state.service.loading:  # its thread would keep the process until it is done
        logging.shutdown()
        os._exit(0)
    return 0


def listen(host: str, port: int) -> socket.socket:
    """Before anything is loaded, so that a port in use is known at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        # Connections take it over. asyncio sets it on sockets of its own only, and an answer is
        # two writes: its second would wait 40 ms for the caller to acknowledge the first.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
    except OSError as error:
        stop(f"cannot listen on {host}:{port}: {error.strerror}", 1)
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{listener.getsockname()[1]}"
    logger.info("listening", extra={"fields": {"url": url}})
    return listener
