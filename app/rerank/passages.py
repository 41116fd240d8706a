"""A document longer than the model takes, read in overlapping windows whose best score counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.engines import Encoded, Pair, tokens_of

SHARE = 0.9  # of the room that a window fills: some stretches take more tokens than others
OVERLAP = 0.2  # of a window, repeated in the next
LEAST_ROOM = 16  # tokens; with less beside the query, windows say nothing


@dataclass(frozen=True, slots=True)
class Reading:
    """The pairs that stand for one text."""

    pairs: Sequence[Pair]
    whole: int

    @property
    def tokens(self) -> int:
        return tokens_of(self.pairs)


def read_at_once(encoded: Encoded) -> Reading:
    return Reading([encoded.pair], encoded.whole)


def read_in_windows(whole: int, windows: Sequence[Encoded], *, complete: bool) -> Reading:
    """Nothing is cut when each window fits and together they reach the end."""
    pairs = [window.pair for window in windows]
    tokens = tokens_of(pairs)
    if complete and all(window.whole == window.tokens for window in windows):
        return Reading(pairs, tokens)
    return Reading(pairs, max(whole, tokens + 1))


def windows_of(text: str, encoded: Encoded) -> list[str]:
    """The windows to read instead of a text that is too long; none where it may stay as it is."""
    room = encoded.kept
    if encoded.document <= room or room < LEAST_ROOM:
        return []
    size = max(1, int(len(text) * room / encoded.document * SHARE))
    return [text[start:end] for start, end in cuts(text, size)]


def cuts(text: str, size: int) -> list[tuple[int, int]]:
    """Where windows of about `size` characters begin and end: between words, if there are any."""
    found, start = [], 0
    while True:
        end = start + size
        end = len(text) if end >= len(text) else word_end(text, start + size // 2, end)
        found.append((start, end))
        if end == len(text):
            return found
        start = word_end(text, start, max(start + 1, end - int(size * OVERLAP)))


def word_end(text: str, after: int, near: int) -> int:
    """The last gap between words from `after` to `near`, or `near` where there is none."""
    gap = text.rfind(" ", after + 1, near + 1)
    return gap if gap > after else near
