"""Answers that were given: by the question, by what the passages say, and by the settings."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Generic, TypeVar

from app.answer.memory import bytes_of

Kept = TypeVar("Kept")

MOST = 1000
MAX_BYTES = 67_108_864
ENTRY_BYTES = 400  # a key and its place in the table, measured


@dataclass(frozen=True, slots=True)
class Entry(Generic[Kept]):
    expires: float
    kept: Kept
    size: int


def key_of(parts: Sequence[str]) -> bytes:
    """Lengths keep ("ab", "c") and ("a", "bc") apart."""
    digest = blake2b(digest_size=16)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "little") + raw)
    return digest.digest()


class Recent(Generic[Kept]):
    """Things kept for a time, bounded by number and by bytes; the least recently used goes first.

    A thing must not change while it is kept: it is measured once.
    """

    def __init__(
        self,
        seconds: float,
        clock: Callable[[], float],
        most: int = MOST,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._most = most
        self._max_bytes = max_bytes
        self._entries: OrderedDict[bytes | str, Entry[Kept]] = OrderedDict()
        self._bytes = 0

    @property
    def size(self) -> int:
        """Bytes of all that is kept."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes | str) -> Kept | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires <= self._clock():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.kept

    def put(self, key: bytes | str, kept: Kept) -> None:
        """What alone is larger than the bound is not kept."""
        if not self._seconds:
            return
        self._drop(key)
        entry = Entry(self._clock() + self._seconds, kept, ENTRY_BYTES + bytes_of(kept))
        if entry.size > self._max_bytes:
            return
        self._entries[key] = entry
        self._bytes += entry.size
        while len(self._entries) > self._most or self._bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: bytes | str) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            self._bytes -= entry.size
