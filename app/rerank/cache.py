"""Scores already computed: bounded in bytes, least recently used out first, each for a limited
time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol

# Measured: a key, a TextScore and their slots in the table.
ENTRY_BYTES = 400


@dataclass(frozen=True, slots=True)
class TextScore:
    """What one text scored for one query, whatever document it belongs to."""

    logit: float
    tokens: int  # computed, the query included
    truncated: bool


class Cache:
    """Pair key to score. With a capacity of 0 it keeps nothing."""

    def __init__(self, max_bytes: int, ttl: float, clock: Callable[[], float]) -> None:
        self._capacity = max_bytes // ENTRY_BYTES
        self._ttl = ttl
        self._clock = clock
        self._entries: OrderedDict[bytes, tuple[float, TextScore]] = OrderedDict()

    @property
    def on(self) -> bool:
        return self._capacity > 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> TextScore | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        expires, score = entry
        if expires <= self._clock():
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return score

    def put(self, key: bytes, score: TextScore) -> None:
        if not self._capacity:
            return
        self._entries[key] = (self._clock() + self._ttl, score)
        self._entries.move_to_end(key)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)


class SharedScores(Protocol):
    """Scores of all replicas, under the same keys. It never fails, and returns soon."""

    async def get(self, keys: Sequence[bytes]) -> Mapping[bytes, TextScore]: ...

    def put(self, scores: Mapping[bytes, TextScore]) -> None: ...


def pair_key(*context: str) -> Callable[[str], bytes]:
    """A key for each text under one context; lengths keep ("ab", "c") and ("a", "bc") apart."""
    digest = blake2b(digest_size=16)
    for part in context:
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "little"))
        digest.update(raw)

    def key(text: str) -> bytes:
        own = digest.copy()
        own.update(text.encode("utf-8", "surrogatepass"))
        return own.digest()

    return key
