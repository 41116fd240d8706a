"""The splitter of texts into sentences: where each begins and ends, without the space around it.

A sentence ends at `.`, `!` or `?` before space, and at their fullwidth forms. A newline ends a
sentence too in texts of any kind, where lines are titles, rows and items. In files of prose, whose
lines are wrapped, only a blank line does, or the start of a list item, row, quotation or code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, pairwise

from app.text.windows import cuts

MARKS = r"(?<=[.!?])\s+|(?<=[。！？])"  # noqa: RUF001 (they end sentences too)
LINES = re.compile(rf"{MARKS}|\n\s*")
PARAGRAPHS = re.compile(rf"{MARKS}|\n\s*\n|\n(?=\s*(?:[-*+|>]|\d+[.)]|```))")
# Of a sentence that is scored as one text.
MAX_CHARACTERS = 600


def sentences(
    text: str, *, newline_ends: bool = True, max_characters: int | None = MAX_CHARACTERS
) -> Iterator[tuple[int, int]]:
    """Longer sentences come as overlapping windows."""
    ends = LINES if newline_ends else PARAGRAPHS
    borders = chain([0], (match.end() for match in ends.finditer(text)), [len(text)])
    for start, end in pairwise(borders):
        if max_characters is None or end - start <= max_characters:
            yield from trimmed(text, start, end)
        else:
            for low, high in cuts(text[start:end], max_characters):
                yield from trimmed(text, start + low, start + high)


def trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The part without the space around it; nothing if it is blank."""
    part = text[start:end]
    if part.strip():
        yield start + len(part) - len(part.lstrip()), start + len(part.rstrip())
