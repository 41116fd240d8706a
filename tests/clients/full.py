"""A service whose queue is always full: the whole of it, model and all, on a port of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from app.compose.app import create_app
from app.errors import LoadFailed, QueueFull
from app.rerank.reranker import Reranker
from app.settings import load

KEY = "sesame"


def fatal(error: LoadFailed) -> None:
    raise error


def no_room() -> Reranker:
    raise QueueFull("1000000 tokens are waiting; 40 more do not fit", retry_after=0.05)


@contextmanager
def full() -> Iterator[str]:
    app = create_app(load({}, device="cpu", api_keys=KEY), fatal)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none"))
    loaded = threading.Event()

    async def serve(port: socket.socket) -> None:
        serving = asyncio.create_task(server.serve(sockets=[port]))
        await app.state.wiring.service.settled()
        app.state.wiring.service.reranker = no_room
        loaded.set()
        await serving

    with socket.create_server(("127.0.0.1", 0)) as port:
        thread = threading.Thread(target=lambda: asyncio.run(serve(port)))
        thread.start()
        try:
            assert loaded.wait(120)
            yield f"http://127.0.0.1:{port.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
