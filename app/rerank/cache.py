"""Known scores: bounded by bytes, least recently used goes first, nothing outlives its time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

ENTRY_BYTES = 400  # a key, a Known and their place in the table, measured


@dataclass(frozen=True, slots=True)
class Known:
    logit: float
    tokens: int  # as computed
    whole: int  # before truncation


class Cache:
    """Pair key to score. A capacity of 0 makes it forget everything at once."""

    def __init__(self, max_bytes: int, ttl: float, clock: Callable[[], float]) -> None:
        self._capacity = max_bytes // ENTRY_BYTES
        self._ttl = ttl
        self._clock = clock
        self._entries: OrderedDict[bytes, tuple[float, Known]] = OrderedDict()

    @property
    def on(self) -> bool:
        return self._capacity > 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> Known | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        expires, known = entry
        if expires <= self._clock():
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return known

    def put(self, key: bytes, known: Known) -> None:
        if not self._capacity:
            return
        self._entries[key] = (self._clock() + self._ttl, known)
        self._entries.move_to_end(key)
        if len(self._entries) > self._capacity:
            self._entries.popitem(last=False)


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
