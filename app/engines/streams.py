"""The slices of a batch, computed in several streams at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Protocol

import numpy as np

from app.engines import Pair
from app.engines.slices import Slicing

# A call of its own costs about as much.
MAX_WASTED_TOKENS = 64
# The first batch of a shape is slow, and each shape takes memory.
WIDTH_MULTIPLE = 8


class Stream(Protocol):
    """Room for one slice at a time."""

    def score(self, pairs: Sequence[Pair], width: int) -> list[float]: ...


class StreamedEngine:
    """A converted model on the CPU."""

    device = "cpu"

    def __init__(
        self,
        name: str,
        dtype: str,
        slice_tokens: int,
        streams: Sequence[Stream],
        *,
        prepares: bool = True,
    ) -> None:
        self.name = name
        self.dtype = dtype
        self.slicing = Slicing(
            slice_tokens, MAX_WASTED_TOKENS, WIDTH_MULTIPLE, len(streams), prepares
        )
        self._idle: SimpleQueue[Stream] = SimpleQueue()
        for stream in streams:
            self._idle.put(stream)
        self._threads = ThreadPoolExecutor(len(streams), thread_name_prefix="stream")
        # OpenVINO fills tables at its first call: two threads that make it together wait for each
        # other for ever, and hold the interpreter meanwhile.
        self._score([Pair(np.zeros(WIDTH_MULTIPLE, dtype=np.int32), 1)])

    def score(self, batch: Sequence[Pair]) -> list[float]:
        logits = [0.0] * len(batch)
        slices = self.slicing.cut(batch)
        pairs = ([batch[index] for index in indexes] for indexes in slices)
        for indexes, scores in zip(slices, self._threads.map(self._score, pairs), strict=True):
            for index, score in zip(indexes, scores, strict=True):
                logits[index] = score
        return logits

    def _score(self, pairs: Sequence[Pair]) -> list[float]:
        stream = self._idle.get()
        try:
            return stream.score(pairs, self.slicing.width(pairs[0].tokens))
        finally:
            self._idle.put(stream)

    def memory(self) -> int:
        return 0
