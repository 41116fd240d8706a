"""`rerankd mcp`: reranking and answers as tools of an agent, over standard input and output."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from app import logs
from app.bulk.calling import address_of
from app.bulk.problems import Unusable
from app.commands.flags import add_flags, add_url_flag, settings_from, stop
from app.compose.mcp import create_local, open_local, open_remote
from app.errors import LoadFailed
from app.log_queue import print_last
from app.mcp.forwarding import Forwarding
from app.settings import Settings
from app.settings.connections import Connections

INSTALL = "mcp is missing: pip install 'rerankd[mcp]'"
# They are about a port and its callers, and there is none.
OF_A_PORT = {
    *Connections.model_fields,
    *("host", "port", "api_keys", "api_keys_file", "metrics_key", "admin_key"),
    *("allowed_hosts", "cors_origins", "docs", "ui", "share_cache"),
    *("drain_seconds", "lame_duck_seconds", "max_inflight_mb"),
    *("feedback_file", "feedback_max_mb"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    add_url_flag(parser)
    add_flags(parser, [name for name in Settings.model_fields if name not in OF_A_PORT])


def run(arguments: argparse.Namespace) -> int:
    settings = settings_from(arguments)
    try:
        from app.mcp.transports import serve_stdio  # noqa: PLC0415 (an extra)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in {"mcp", "mcp_types"}:
            raise
        stop(INSTALL, 1)
    # Agents end the process, and until then may not read what it logs.
    logs.configure(settings.log_level, settings.log_format, queued=True)
    # Ctrl-C could not interrupt the thread that reads standard input.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    asyncio.run(serve_stdio(partial(opened, backend_of(settings, arguments.url))))
    return 0


def backend_of(settings: Settings, url: str | None) -> AbstractAsyncContextManager[Forwarding]:
    try:
        if url is not None:
            return open_remote(address_of(url), settings)
        return open_local(create_local(settings))
    except Unusable as error:
        stop(str(error), 2)
    except LoadFailed as error:
        stop(str(error), 1)


@asynccontextmanager
async def opened(backend: AbstractAsyncContextManager[Forwarding]) -> AsyncIterator[Forwarding]:
    try:
        async with backend as forwarding:
            yield forwarding
    except LoadFailed as error:
        print_last(f"rerankd: {error}")
        os._exit(1)  # the thread that reads standard input cannot be interrupted
