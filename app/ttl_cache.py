"""Values kept for a limited time, bounded by number and by bytes."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bytes, str)
Value = TypeVar("Value")

# A key and its entry in the table, measured.
ENTRY_BYTES = 400


@dataclass(frozen=True, slots=True)
class CacheEntry(Generic[Value]):
    expires: float
    value: Value
    size: int


class TTLCache(Generic[Key, Value]):
    """The least recently used value goes first. Its size is measured once, when it is put.

    With a time of 0 seconds, or when a value alone exceeds the bound, nothing is kept.
    """

    def __init__(
        self, seconds: float, clock: Callable[[], float], *, max_entries: int, max_bytes: int
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._entries: OrderedDict[Key, CacheEntry[Value]] = OrderedDict()
        self._bytes = 0

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> Value | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.expires <= self._clock():
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry.value

    def put(self, key: Key, value: Value) -> None:
        if not self._seconds:
            return
        self._drop(key)
        entry = CacheEntry(self._clock() + self._seconds, value, ENTRY_BYTES + bytes_of(value))
        if entry.size > self._max_bytes:
            return
        self._entries[key] = entry
        self._bytes += entry.size
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: Key) -> None:
        if (entry := self._entries.pop(key, None)) is not None:
            self._bytes -= entry.size


def bytes_of(value: object) -> int:
    """Memory that a value takes with all that it holds, as the interpreter counts it.

    What is held twice counts once.
    """
    total, seen, left = 0, set[int](), [value]
    while left:
        part = left.pop()
        if part is None or part is True or part is False or id(part) in seen:
            continue
        seen.add(id(part))
        total += sys.getsizeof(part)
        if isinstance(part, str | bytes | int | float):
            continue
        if isinstance(part, dict):
            left += part
            left += part.values()
        elif isinstance(part, list | tuple | set | frozenset):
            left += part
        elif is_dataclass(part):
            left += [getattr(part, name) for name in part.__dataclass_fields__]
    return total
