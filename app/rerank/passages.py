"""A document longer than the model takes, read in overlapping windows whose best score counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.engines import Encoded, Pair, tokens_of
from app.text.windows import cuts

SHARE = 0.9  # of the room that a window fills: some stretches take more tokens than others
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
