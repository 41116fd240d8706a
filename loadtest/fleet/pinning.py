"""Processes on cores of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


def cores() -> list[int]:
    """Those that this process may use."""
    if not hasattr(os, "sched_getaffinity"):
        raise SystemExit("processes can be pinned to a core on Linux only")
    return sorted(os.sched_getaffinity(0))


@contextmanager
def pinned(index: int) -> Iterator[int]:
    """This thread, and the processes and threads that it starts meanwhile, on one core."""
    allowed = cores()
    core = allowed[index % len(allowed)]
    os.sched_setaffinity(0, {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, allowed)
