"""Overlapping windows of a text, with borders between words."""

from __future__ import annotations

# The share of a window that is repeated in the next.
OVERLAP = 0.2


def cuts(text: str, size: int) -> list[tuple[int, int]]:
    """Where windows of about `size` characters begin and end: between words, if there are any."""
    windows, start = [], 0
    while True:
        end = start + size
        end = len(text) if end >= len(text) else word_end(text, start + size // 2, end)
        windows.append((start, end))
        if end == len(text):
            return windows
        start = word_end(text, start, max(start + 1, end - int(size * OVERLAP)))


def word_end(text: str, after: int, near: int) -> int:
    """The last gap between words from `after` to `near`, or `near` where there is none."""
    gap = text.rfind(" ", after + 1, near + 1)
    return gap if gap > after else near
