"""`rerankd serve`."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import os
import socket
from contextlib import suppress

from app import logs
from app.api import warm_routes
from app.api.auth import BadKeys
from app.api.wiring import wiring_of
from app.commands.flags import add_flags, settings_from, stop
from app.compose.app import create_app, create_server
from app.errors import LoadFailed
from app.server.exit_limit import ExitLimit
from app.server.limits import raise_descriptor_limit
from app.server.listening import CannotListen, listen
from app.settings import Settings

logger = logging.getLogger(__name__)


def configure(parser: argparse.ArgumentParser) -> None:
    add_flags(parser, list(Settings.model_fields))


def run(arguments: argparse.Namespace) -> int:
    settings = settings_from(arguments)
    logs.configure(settings.log_level, settings.log_format, queued=True)
    failures: list[LoadFailed] = []

    def fatal(error: LoadFailed) -> None:
        failures.append(error)
        server.end()

    try:
        app = create_app(settings, fatal)
        warm_routes(app)
        listener = listen(settings.host, settings.port)
    except BadKeys as error:
        stop(str(error), 2)
    except (CannotListen, LoadFailed) as error:
        stop(str(error), 1)
    if not wiring_of(app).exposure.keys:
        warn_if_reachable(listener)
    descriptors = raise_descriptor_limit()
    server = create_server(app, settings, descriptors, ExitLimit())
    bound = server.connections.limits.connections
    fields = {"descriptors": descriptors, "max_connections": bound}
    logger.debug("descriptor_limit", extra={"fields": fields})
    with suppress(KeyboardInterrupt):  # uvicorn raises Ctrl-C again after the shutdown
        server.run(sockets=[listener])
    if failures:
        stop(str(failures[0]), 1)
    if wiring_of(app).service.loading:  # its thread would keep the process alive until it ends
        logging.shutdown()
        os._exit(0)
    return 0


def warn_if_reachable(listener: socket.socket) -> None:
    """Without keys, everybody who reaches the port can send queries and read the store."""
    address = listener.getsockname()[0]
    if not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        hint = "set RERANKD_API_KEYS or RERANKD_API_KEYS_FILE, or RERANKD_HOST=127.0.0.1"
        logger.warning("no_api_keys", extra={"fields": {"address": address, "hint": hint}})
