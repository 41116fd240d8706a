"""Counts the values of a JSON body before it is parsed.

Parsing takes some nanoseconds per byte of text, but up to a microsecond per value: a body that
contains only `[],[],[]` blocks the event loop twenty times longer than text of the same size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.event_loop import pause

# Scanned without a pause, in less than 1 ms, or 4 ms if everything is escaped.
CHUNK_BYTES = 262_144
# `[` and `{` differ only in the bit LOWER_CASE.
COMMA, OPENING, LOWER_CASE = 0x2C, 0x7B, 0x20
QUOTE = 0x22
SHIFTS = (1, 2, 4, 8, 16, 32)
ESCAPED_BACKSLASH, ESCAPED_QUOTE, BACKSLASH = b"\\\\", b'\\"', b"\\"

Bits = NDArray[np.uint64]


async def count_values(raw: bytearray, limit: int) -> int:
    """Return an upper bound of the number of values; above `limit` only if the real number is.

    Each comma, `[` and `{` outside of strings counts as a value. The first scan also counts those
    inside strings; the exact second scan runs only if that exceeds `limit`. Other requests run
    between the chunks.
    """
    view, most = memoryview(raw), 0
    for start in range(0, len(raw), CHUNK_BYTES):
        if start:
            await pause()
        most += int(np.count_nonzero(separators(view[start : start + CHUNK_BYTES])))
    if most <= limit:
        return most
    strings, values = Strings(), 0
    for start in range(0, len(raw), CHUNK_BYTES):
        await pause()
        values += strings.values_outside(bytes(view[start : start + CHUNK_BYTES]))
        if values > limit:
            break
    return values


def separators(chunk: bytes | memoryview) -> NDArray[np.bool_]:
    codes = np.frombuffer(chunk, np.uint8)
    marks: NDArray[np.bool_] = ((codes | LOWER_CASE) == OPENING) | (codes == COMMA)
    return marks


class Strings:
    """Remembers between chunks whether a string is open and whether a backslash is pending."""

    def __init__(self) -> None:
        self._open = False
        self._escape = b""

    def values_outside(self, chunk: bytes) -> int:
        chunk = self._without_escapes(self._escape + chunk)
        padded = chunk + bytes(-len(chunk) % 64)
        quotes = packed(np.frombuffer(padded, np.uint8) == QUOTE)
        inside = self._inside(quotes)
        return int(np.bitwise_count(packed(separators(padded)) & ~inside).sum())

    def _without_escapes(self, chunk: bytes) -> bytes:
        """Remove escaped quotes. Escaped backslashes are removed first, from the left."""
        self._escape = b""
        if BACKSLASH in chunk:
            chunk = chunk.replace(ESCAPED_BACKSLASH, b"").replace(ESCAPED_QUOTE, b"")
            if chunk.endswith(BACKSLASH):
                self._escape, chunk = BACKSLASH, chunk[:-1]
        return chunk

    def _inside(self, quotes: Bits) -> Bits:
        """Return a bit for each byte: whether the number of quotes up to it is odd."""
        for shift in SHIFTS:  # then each bit is the parity of its word up to it
            quotes ^= quotes << np.uint64(shift)
        odd = np.append(np.array([self._open]), quotes >> np.uint64(63) == 1)
        before = np.logical_xor.accumulate(odd)
        self._open = bool(before[-1])
        return quotes ^ np.where(before[:-1], ~np.uint64(0), np.uint64(0))


def packed(marks: NDArray[np.bool_]) -> Bits:
    return np.packbits(marks, bitorder="little").view(np.uint64)
