"""Garbage collection in tests that measure how long the event loop is held."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def frozen() -> Iterator[None]:
    """Exclude present objects from garbage collection, as `rerankd serve` does once it is ready.

    A full collection of what the other tests of this process have left takes 0.3 s and more.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
