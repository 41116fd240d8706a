"""How messages come and go: standard input and output, or requests of HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from app.mcp.backend import Backend
from app.mcp.server import make_server

Manager = StreamableHTTPSessionManager


async def serve_stdio(open_backend: Callable[[], AbstractAsyncContextManager[Backend]]) -> None:
    """Until standard input ends. Opened after standard output is taken, so that no library writes
    between the messages."""
    async with stdio_server() as (read_stream, write_stream), open_backend() as backend:
        server = make_server(lambda _: backend)
        await server.run(read_stream, write_stream, server.create_initialization_options())


@asynccontextmanager
async def open_manager(
    backend_of: Callable[[Any], Backend], max_body_bytes: int
) -> AsyncIterator[Manager]:
    """Streamable HTTP without sessions: any process answers any request, and none keeps a thing.

    The body was read within the limits of the service before, and the Host and the Origin were
    checked, so the SDK checks neither.
    """
    manager = Manager(
        make_server(backend_of),
        json_response=True,
        stateless=True,
        max_request_body_size=max_body_bytes,
    )
    async with manager.run():
        yield manager
