"""What lower layers make of queries and documents alone, kept for the next question.

A state depends on the tokens of its part and on nothing else, so what is kept is what would be
computed. With no bytes to keep it in, each part is still computed once for all pairs of a batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from app.engines import Ids, Pair
from app.ttl_cache import TTLCache

States = NDArray[np.float16] | NDArray[np.float32]
StatesByPart = Mapping[bytes, States]
MAX_PARTS = 1_000_000


class StateCache:
    """Called from several threads at once. Engines in eight bits keep half precision."""

    def __init__(
        self,
        max_bytes: int,
        seconds: float,
        dtype: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cache: TTLCache[bytes, States] = TTLCache(
            seconds, clock, max_entries=MAX_PARTS, max_bytes=max_bytes
        )
        self._half = dtype != "float32"
        self._lock = Lock()
        self.hits = 0
        self.misses = 0

    @property
    def size(self) -> int:
        return self._cache.size

    def find(self, parts: Sequence[bytes]) -> dict[bytes, States]:
        with self._lock:
            kept = {part: states for part in parts if (states := self._cache.get(part)) is not None}
            self.hits += len(kept)
            self.misses += len(parts) - len(kept)
        return kept

    def keep(self, part: bytes, states: NDArray[np.generic]) -> States:
        """A copy, in the precision that is kept: a score is the same whether a part was known."""
        own: States = (
            states.astype(np.float16) if self._half else np.array(states, dtype=np.float32)
        )
        with self._lock:
            self._cache.put(part, own)
        return own


def parts_of(batch: Sequence[Pair]) -> dict[bytes, Ids]:
    """Queries and documents, each once."""
    both = (part for pair in batch for part in (pair.ids[: pair.split], pair.ids[pair.split :]))
    return {part.tobytes(): part for part in both}


def side_by_side(pairs: Sequence[Pair], width: int, states: StatesByPart) -> NDArray[np.float32]:
    """The states of both parts of each pair, as if they had been computed together."""
    channels = next(iter(states.values())).shape[1]
    joined = np.zeros((len(pairs), width, channels), dtype=np.float32)
    for row, pair in zip(joined, pairs, strict=True):
        row[: pair.split] = states[pair.ids[: pair.split].tobytes()]
        row[pair.split : pair.tokens] = states[pair.ids[pair.split :].tobytes()]
    return joined
