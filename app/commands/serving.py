"""Serves HTTP until a signal comes. Importing this takes about as long as loading a model."""

from __future__ import annotations

import ipaddress
import logging
import os
import socket
from contextlib import suppress
from functools import partial
from typing import NoReturn

from app.api import warm_routes
from app.api.auth import BadKeys
from app.api.wiring import wiring_of
from app.commands.flags import stop
from app.compose.app import create_app, create_server, open_soon
from app.compose.loading import Load
from app.errors import LoadFailed
from app.log_queue import print_last
from app.server.exit_limit import ExitLimit
from app.server.limits import raise_descriptor_limit
from app.server.listening import CannotListen, listen
from app.settings import Settings

logger = logging.getLogger(__name__)


def serve(settings: Settings, load: Load | None) -> int:
    """`load` waits for a model that is being loaded."""
    failures: list[LoadFailed] = []

    def fatal(error: LoadFailed) -> None:
        failures.append(error)
        server.end()

    try:
        app = create_app(settings, fatal, opens_model=partial(open_soon, load=load))
        warm_routes(app)
        listener = listen(settings.host, settings.port)
    except BadKeys as error:
        end(str(error), 2)
    except (CannotListen, LoadFailed) as error:
        end(str(error), 1)
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


def end(sentence: str, code: int) -> NoReturn:
    """Exit without waiting for the thread that loads the model, which cannot be interrupted."""
    print_last(f"rerankd: {sentence}")
    logging.shutdown()
    os._exit(code)


def warn_if_reachable(listener: socket.socket) -> None:
    """Without keys, everybody who reaches the port can send queries and read the store."""
    address = listener.getsockname()[0]
    if not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
        hint = "set RERANKD_API_KEYS or RERANKD_API_KEYS_FILE, or RERANKD_HOST=127.0.0.1"
        logger.warning("no_api_keys", extra={"fields": {"address": address, "hint": hint}})
