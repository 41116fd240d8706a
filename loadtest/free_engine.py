"""The service with an engine that costs nothing: what `frontend` measures.

    python -m loadtest.free_engine serve ...

The same program, encoder and queue; only the scores mean nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

from app import cli
from app.compose import loading
from app.engines import LoadedModel, Pair
from app.engines.slices import Slicing
from app.settings import Settings


class FreeEngine:
    """Batches as large as on a GPU."""

    name, device, dtype = "free", "cpu", "float32"
    slicing = Slicing(tokens=131_072, waste=32_768)
    state_cache = None

    def score(self, batch: Sequence[Pair]) -> list[float]:
        """The more of it is the document's, the higher; a warm-up asks for that order too."""
        return [float(pair.tokens - pair.split) for pair in batch]

    def memory(self) -> int:
        return 0


def serve_for_free() -> None:
    load = loading.load_soon

    def load_free(settings: Settings, *, at_once: bool = False) -> tuple[LoadedModel, bool]:
        loaded, _ = load(settings, at_once=at_once)
        return replace(loaded, engine=FreeEngine()), False

    loading.load_soon = load_free


if __name__ == "__main__":
    serve_for_free()
    sys.exit(cli.main())
