"""Answers that were given: by the question, by what the passages say, and by the settings."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Generic, TypeVar

Kept = TypeVar("Kept")

MOST = 1000


def key_of(parts: Sequence[str]) -> bytes:
    """Lengths keep ("ab", "c") and ("a", "bc") apart."""
    digest = blake2b(digest_size=16)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "little") + raw)
    return digest.digest()


class Recent(Generic[Kept]):
    """A bounded number of things, each for a time; the least recently used goes first."""

    def __init__(self, seconds: float, clock: Callable[[], float], most: int = MOST) -> None:
        self._seconds = seconds
        self._clock = clock
        self._most = most
        self._entries: OrderedDict[bytes | str, tuple[float, Kept]] = OrderedDict()

    def get(self, key: bytes | str) -> Kept | None:
        expires, kept = self._entries.get(key, (0.0, None))
        if kept is None or expires <= self._clock():
            self._entries.pop(key, None)
            return None
        self._entries.move_to_end(key)
        return kept

    def put(self, key: bytes | str, kept: Kept) -> None:
        if not self._seconds:
            return
        self._entries[key] = (self._clock() + self._seconds, kept)
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)
