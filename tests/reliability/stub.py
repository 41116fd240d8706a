"""A model that costs nothing, so that what is measured is the service's own work."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from app.engines import Encoded, LoadedModel, Pair
from app.engines.slices import Slicing
from app.text import Side

TOKENS = 8


class StubEncoder:
    """A pair of eight tokens for every text; a text has a token for each four characters."""

    takes_instruction = True
    repeats_query = False

    def __init__(self, max_tokens: int = 512) -> None:
        self.max_tokens = max_tokens

    def encode(
        self,
        query: str,
        documents: Sequence[str],
        *,
        instruction: str | None,
        cut: Side,
        document_tokens: int = 0,
        clip: bool = False,
    ) -> list[Encoded]:
        pair = Pair(np.zeros(TOKENS, dtype=np.int32), 1)
        return [
            Encoded(pair, TOKENS + len(text) // 4, len(text) // 4, self.max_tokens)
            for text in documents
        ]


class StubEngine:
    name, device, dtype = "stub", "cpu", "float32"
    slicing = Slicing(tokens=1_024, waste=2**62)
    state_cache = None

    def __init__(self) -> None:
        self.may_score = threading.Event()
        self.may_score.set()

    def score(self, batch: Sequence[Pair]) -> list[float]:
        self.may_score.wait(60)
        return [1.0] * len(batch)

    def memory(self) -> int:
        return 0


def stub_model(max_tokens: int = 512) -> LoadedModel:
    return LoadedModel("stub", "", "stub", StubEngine(), StubEncoder(max_tokens), 0.0)
