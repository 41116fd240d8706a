"""A document longer than the model takes, read in overlapping windows; the best score counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.engines import Encoded, Pair, tokens_of
from app.errors import TooLong
from app.rerank.query import Query
from app.text.windows import cuts

# A window fills less than the room: some stretches of a text take more tokens than others.
FILLED_SHARE = 0.9
# With less room beside the query, a window says nothing.
MIN_ROOM_TOKENS = 16


@dataclass(frozen=True, slots=True)
class TextPairs:
    """The pairs that stand for one text: one, or one for each window."""

    pairs: Sequence[Pair]
    untruncated_tokens: int

    @property
    def tokens(self) -> int:
        return tokens_of(self.pairs)

    @property
    def truncated(self) -> bool:
        return self.untruncated_tokens > self.tokens


def refuse_long(query: Query, read: Mapping[str, TextPairs], most: int, model: str) -> None:
    """Without truncation, the first document that is too long refuses the request."""
    if query.truncate:
        return
    for index, document in enumerate(query.documents):
        text = read.get(document.text)
        if text is not None and text.truncated:
            raise TooLong(
                f"documents[{index}] takes {text.untruncated_tokens} tokens with the query, "
                f"more than the {most} of {model}, and truncate is off",
                field=f"documents[{index}]",
                limit=most,
            )


def without_windows(encoded: Encoded) -> TextPairs:
    return TextPairs([encoded.pair], encoded.whole)


def in_windows(whole: int, windows: Sequence[Encoded], *, complete: bool) -> TextPairs:
    """Nothing is cut when each window fits and together they reach the end."""
    pairs = [window.pair for window in windows]
    tokens = tokens_of(pairs)
    if complete and all(window.whole == window.tokens for window in windows):
        return TextPairs(pairs, tokens)
    return TextPairs(pairs, max(whole, tokens + 1))


def window_bounds(text: str, encoded: Encoded) -> list[tuple[int, int]]:
    """Where the windows of a text that is too long begin and end; none where it may stay as is."""
    room = encoded.kept
    if encoded.document <= room or room < MIN_ROOM_TOKENS:
        return []
    size = max(1, int(len(text) * room / encoded.document * FILLED_SHARE))
    return cuts(text, size)


def windows_of(text: str, encoded: Encoded) -> list[str]:
    """The windows to read instead of the text."""
    return [text[start:end] for start, end in window_bounds(text, encoded)]
