"""Markers like [1] in an answer: which passage supports which part of it.

The text is read while it comes in: what may still become a marker, or code, which holds no markers,
is held back until that is decided.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# Between the brackets; the reader waits no longer for the end of a marker.
MAX_MARKER_CHARS = 200
NUMBERS = r"\d{1,3}(?:\s*[,;]\s*\d{1,3})*"
MARKER = rf"[\[【](?P<numbers>{NUMBERS})[\]】]"
FENCE = r"`{3,}"
# Within a line.
CODE = r"(?P<ticks>`{1,2})(?!`).{0,200}?(?<!`)(?P=ticks)(?!`)"
PART = re.compile(rf"(?P<fence>{FENCE})|(?<!`){CODE}|{MARKER}")
# All but backticks that more may follow, or those that close them, later in the line.
DECIDED = re.compile(
    rf"(?:[^`]|{FENCE}(?=[^`])|{CODE}(?=[^`])|`{{1,2}}(?!`)(?=.{{0,209}}\n|.{{210}}))*+"
)
UNDECIDED = re.compile(rf"[\[【][\d\s,;]{{0,{MAX_MARKER_CHARS}}}$")
SENTENCE_END = re.compile(r"[.!?](?=\s)|[。！？]|\n")  # noqa: RUF001
END_MARKS = ".!?。！？"  # noqa: RUF001
# What may stand between a marker and the clause after it.
GAP = re.compile(r"[\s,;:.–-]*")  # noqa: RUF001


@dataclass(frozen=True, slots=True)
class Citation:
    """A part of the answer, in code points, and the numbers of its sources, from 1."""

    start: int
    end: int
    sources: Sequence[int]


class CitationReader:
    """Is fed pieces of the answer and returns what may be shown.

    Each character is read a bounded number of times, however small the pieces are: pieces are
    joined only when they are read, and white space waits apart for the marker that may follow it.
    """

    def __init__(self, sources: int) -> None:
        self._sources = sources
        self._held: list[str] = []  # not decided yet
        self._ticks = True  # only backticks are held
        self._space: list[str] = []  # decided, but dropped with an invented marker
        self._parts: list[str] = []
        self._length = 0
        self._since: list[str] = []  # parts after the last marker
        self._fence = ""  # that opened the current block of code
        self.citations: list[Citation] = []
        self.invented: list[int] = []

    @property
    def text(self) -> str:
        self._parts = ["".join(self._parts)]
        return self._parts[0]

    def feed(self, piece: str) -> str:
        self._held.append(piece)
        if self._ticks and not piece.strip("`"):
            return ""  # the length of a fence is not decided before its end
        held = "".join(self._held)
        decided = DECIDED.match(held)
        end = decided.end() if decided else 0
        tail = UNDECIDED.search(held, max(0, end - MAX_MARKER_CHARS - 1), end)
        safe = tail.start() if tail else end
        self._held = [held[safe:]]
        self._ticks = not held[safe:].strip("`")
        return self._read(held[:safe])

    def end(self) -> str:
        ready, self._held, self._ticks = "".join(self._held), [], True
        shown = self._read(ready)
        self._space.clear()
        return shown

    def _read(self, ready: str) -> str:
        shown: list[str] = []
        position = 0
        for part in PART.finditer(ready):
            self._add(ready[position : part.start()], shown)
            position = part.end()
            numbers = part["numbers"]
            if numbers and len(numbers) <= MAX_MARKER_CHARS and not self._fence:
                self._mark(numbers, shown)
                continue
            self._add(part[0], shown)
            if part["fence"]:
                self._turn(part["fence"])
        self._add(ready[position:], shown)
        return "".join(shown)

    def _add(self, text: str, shown: list[str]) -> None:
        """Show all but the white space at its end."""
        kept = text.rstrip()
        if kept:
            self._show("".join(self._space) + kept, shown)
            self._space.clear()
        self._space.append(text[len(kept) :])

    def _show(self, text: str, shown: list[str]) -> None:
        for parts in (self._parts, self._since, shown):
            parts.append(text)
        self._length += len(text)

    def _turn(self, fence: str) -> None:
        """Into a block of code or out of it: a fence closes one that is not longer."""
        if not self._fence:
            self._fence = fence
        elif len(fence) >= len(self._fence):
            self._fence = ""

    def _mark(self, marked: str, shown: list[str]) -> None:
        numbers = [int(number) for number in re.findall(r"\d+", marked)]
        cited = [number for number in dict.fromkeys(numbers) if 1 <= number <= self._sources]
        self.invented += [number for number in numbers if not 1 <= number <= self._sources]
        space = "".join(self._space)
        self._space.clear()
        if not cited:
            return
        since = "".join(self._since)
        if not since and self.citations:
            last = self.citations[-1]
            sources = tuple(dict.fromkeys((*last.sources, *cited)))
            self.citations[-1] = Citation(last.start, last.end, sources)
        elif (start := clause_start(since)) < len(since):
            before = self._length - len(since)
            self.citations.append(Citation(before + start, self._length, tuple(cited)))
        self._show(space + "".join(f"[{number}]" for number in cited), shown)
        self._since.clear()


def clause_start(text: str) -> int:
    """The start of the last sentence of the text; `text` follows the previous marker."""
    ended = text.rstrip(END_MARKS)
    start = max((border.end() for border in SENTENCE_END.finditer(ended)), default=0)
    gap = GAP.match(text, start)
    return gap.end() if gap else start
