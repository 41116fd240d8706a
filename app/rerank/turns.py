"""Selects the texts that are tokenized next. Pure: uses no clock, task or thread.

Requests are tokenized in portions, so that a request with an earlier due time runs between the
portions of a large one.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

# Tokenizing this many characters takes about 40 ms.
PORTION_CHARS = 65_536


@dataclass(frozen=True, slots=True)
class Portion:
    """Consecutive texts of a request; `start` is the index of the first."""

    start: int
    texts: Sequence[str]
    chars: int  # that the tokenizer is likely to read


@dataclass(eq=False, slots=True)
class Work:
    """The portions of one request, in order."""

    portions: Sequence[Portion]
    due: float
    waiting: deque[Portion] = field(init=False)

    def __post_init__(self) -> None:
        self.waiting = deque(self.portions)

    @property
    def chars(self) -> int:
        """Characters of the waiting portions."""
        return sum(portion.chars for portion in self.waiting)


W = TypeVar("W", bound=Work)


class Turns(Generic[W]):
    """Keeps requests in order of due time; equal due times in order of arrival."""

    def __init__(self) -> None:
        self.chars = 0
        self._works: list[W] = []

    def add(self, work: W) -> None:
        insort(self._works, work, key=lambda other: other.due)
        self.chars += work.chars

    def take(self) -> tuple[W, Portion] | None:
        """Take the next portion of the request with the earliest due time."""
        if not self._works:
            return None
        work = self._works[0]
        portion = work.waiting.popleft()
        self.chars -= portion.chars
        if not work.waiting:
            self._works.pop(0)
        return work, portion

    def remove(self, work: W) -> None:
        """Withdraw the portions that were not taken yet."""
        if work in self._works:
            self._works.remove(work)
            self.chars -= work.chars
            work.waiting.clear()

    def chars_before(self, due: float) -> int:
        """Characters that are tokenized before a request with this due time."""
        return sum(work.chars for work in self._works if work.due <= due)


def portions(texts: Sequence[str], around: int, most: int) -> Iterator[Portion]:
    """Split texts into portions, in order, of at most PORTION_CHARS characters or of one text.

    `around`: characters that are read in addition to each text. Usually, at most `most` characters
    of a text are read. The size of a portion assumes the worst case, that all are read; its
    `chars` assumes the usual case.
    """
    start = size = chars = 0
    for index, text in enumerate(texts):
        whole = around + len(text)
        if size + whole > PORTION_CHARS and index > start:
            yield Portion(start, texts[start:index], chars)
            start, size, chars = index, 0, 0
        size += whole
        chars += around + min(len(text), most)
    yield Portion(start, texts[start:], chars)
