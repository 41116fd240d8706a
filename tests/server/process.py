"""Serves the small application in a process of its own.

Usage: `python -m tests.server.process GRACE [DESCRIPTORS]`.

It writes its port. GET /hang starts a thread that never ends, as an engine that hangs does.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import threading
from contextlib import suppress
from typing import Any

from app import logs
from app.server.exit_limit import ExitLimit
from app.server.leaving import Times
from app.server.limits import default_connections, raise_descriptor_limit
from app.server.listening import listen
from app.server.serving import Server
from tests.server.wire import App, Leaver, make_limits


class Hanging(App):
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/hang":
            loop = asyncio.get_running_loop()
            loop.run_in_executor(None, threading.Event().wait)
        await super().__call__(scope, receive, send)


def main(grace: float, descriptors: int = 0) -> None:
    if descriptors:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors // 2, descriptors))
    logs.configure("info", "json")
    listener = listen("127.0.0.1", 0)
    limits = make_limits(connections=default_connections(raise_descriptor_limit()))
    server = Server(
        Hanging(),
        limits,
        service=Leaver(),
        times=Times(drain=0, grace=grace),
        exit_limit=ExitLimit(),
        lifespan=False,
    )
    print(listener.getsockname()[1], flush=True)  # noqa: T201
    with suppress(KeyboardInterrupt):
        server.run(sockets=[listener])


if __name__ == "__main__":
    main(float(sys.argv[1]), *map(int, sys.argv[2:]))
