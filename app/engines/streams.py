"""The slices of a batch, computed in several streams at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from queue import SimpleQueue
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.engines import Pair
from app.engines.lower_states import StateCache, States, StatesByPart, parts_of, side_by_side
from app.engines.slices import Slicing

# A call of its own costs about as much.
MAX_WASTED_TOKENS = 64
# The first batch of a shape is slow, and each shape takes memory.
WIDTH_MULTIPLE = 8


class Stream(Protocol):
    """Room for one slice at a time."""

    def score(
        self, pairs: Sequence[Pair], width: int, lower: NDArray[np.float32] | None
    ) -> list[float]:
        """`lower` are the states of the lower part, if the model has one."""
        ...

    def lower(self, parts: Sequence[Pair], width: int) -> NDArray[np.generic]:
        """What the lower part makes of queries and documents alone; valid until the next call."""
        ...


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
        state_cache: StateCache | None = None,
    ) -> None:
        """With `state_cache` if the model has a lower part."""
        self.name = name
        self.dtype = dtype
        self.slicing = Slicing(
            slice_tokens, MAX_WASTED_TOKENS, WIDTH_MULTIPLE, len(streams), prepares
        )
        self.state_cache = state_cache
        self._idle: SimpleQueue[Stream] = SimpleQueue()
        for stream in streams:
            self._idle.put(stream)
        self._threads = ThreadPoolExecutor(len(streams), thread_name_prefix="stream")
        # OpenVINO fills tables at its first call: two threads that make it together wait for each
        # other for ever, and hold the interpreter meanwhile.
        self._prepare([Pair(np.zeros(WIDTH_MULTIPLE, dtype=np.int32), 1)])

    def _prepare(self, pairs: Sequence[Pair]) -> None:
        states: dict[bytes, States] = {}
        unkept = StateCache(0, 0, self.dtype)
        for ids in parts_of(pairs).values() if self.state_cache is not None else ():
            states |= self._lower([Pair(ids, 0)], unkept)
        self._score(pairs, states or None)

    def score(self, batch: Sequence[Pair]) -> list[float]:
        states = None if self.state_cache is None else self._lower_states(self.state_cache, batch)
        logits = [0.0] * len(batch)
        slices = self.slicing.cut(batch)
        pairs = ([batch[index] for index in indexes] for indexes in slices)
        scored = self._threads.map(partial(self._score, states=states), pairs)
        for indexes, scores in zip(slices, scored, strict=True):
            for index, score in zip(indexes, scores, strict=True):
                logits[index] = score
        return logits

    def _lower_states(self, cache: StateCache, batch: Sequence[Pair]) -> StatesByPart:
        parts = parts_of(batch)
        states = cache.find(list(parts))
        missing = [Pair(ids, 0) for part, ids in parts.items() if part not in states]
        slices = ([missing[index] for index in cut] for cut in self.slicing.cut(missing))
        for computed in self._threads.map(partial(self._lower, cache=cache), slices):
            states |= computed
        return states

    def _lower(self, parts: Sequence[Pair], cache: StateCache) -> dict[bytes, States]:
        with self._stream() as stream:
            states = stream.lower(parts, self.slicing.width(parts[0].tokens))
            return {
                key: cache.keep(key, row[: part.tokens])
                for row, part in zip(states, parts, strict=True)
                for key in [part.ids.tobytes()]
            }

    def _score(self, pairs: Sequence[Pair], states: StatesByPart | None) -> list[float]:
        width = self.slicing.width(pairs[0].tokens)
        lower = None if states is None else side_by_side(pairs, width, states)
        with self._stream() as stream:
            return stream.score(pairs, width, lower)

    @contextmanager
    def _stream(self) -> Iterator[Stream]:
        stream = self._idle.get()
        try:
            yield stream
        finally:
            self._idle.put(stream)

    def memory(self) -> int:
        return 0
