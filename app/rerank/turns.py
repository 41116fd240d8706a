"""Whose texts are tokenized next. Pure: knows no clock, no task, no thread.

A request is tokenized a portion at a time, so that one that falls due earlier goes first between
the portions of a large one.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

# Tokenizing so many takes about 40 ms.
PORTION_CHARS = 65_536


@dataclass(frozen=True, slots=True)
class Portion:
    """Texts that follow each other in a request, from `start` on."""

    start: int
    texts: Sequence[str]
    chars: int  # that the tokenizer will read


@dataclass(eq=False, slots=True)
class Work:
    """One request's portions, in its own order."""

    portions: Sequence[Portion]
    due: float
    waiting: deque[Portion] = field(init=False)

    def __post_init__(self) -> None:
        self.waiting = deque(self.portions)

    @property
    def chars(self) -> int:
        """Of the waiting portions."""
        return sum(portion.chars for portion in self.waiting)


W = TypeVar("W", bound=Work)


class Turns(Generic[W]):
    """In order of due time, and in order of arrival where that is the same."""

    def __init__(self) -> None:
        self.chars = 0
        self._works: list[W] = []

    def add(self, work: W) -> None:
        insort(self._works, work, key=lambda other: other.due)
        self.chars += work.chars

    def take(self) -> tuple[W, Portion] | None:
        """The next portion of whoever is due first."""
        if not self._works:
            return None
        work = self._works[0]
        portion = work.waiting.popleft()
        self.chars -= portion.chars
        if not work.waiting:
            self._works.pop(0)
        return work, portion

    def remove(self, work: W) -> None:
        """Withdraw what has not been taken."""
        if work in self._works:
            self._works.remove(work)
            self.chars -= work.chars
            work.waiting.clear()

    def chars_before(self, due: float) -> int:
        """How much would be tokenized before a request that is due then."""
        return sum(work.chars for work in self._works if work.due <= due)


def portions(texts: Sequence[str], around: int, most: int) -> Iterator[Portion]:
    """In order, up to PORTION_CHARS characters together with what is read around each, or one text.

    Of a text not more than `most` characters are read, as a rule: a portion is made for the worst
    case, and counted as what is likely.
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
