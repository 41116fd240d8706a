from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from loadtest import service
from loadtest.mixed import FIFO, OURS


@pytest.fixture(scope="package")
def urls(model: Path) -> Iterator[dict[str, str]]:
    """The service and the same first come first served, with a tiny model and a short queue."""
    with ExitStack() as stack:
        servers = {
            order: stack.enter_context(
                service.rerankd(program=program, model=model, max_queue_tokens=50_000)
            )
            for order, program in ((OURS, "app.cli"), (FIFO, "loadtest.fifo"))
        }
        for server in servers.values():
            server.wait_until_ready()
        yield {order: server.url for order, server in servers.items()}
