"""Markers like [1] in an answer: which passage supports which part of it.

Works while the words come in: what may still become a marker, or code, in which there are none, is
held back until it is known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

NUMBERS = r"\d{1,3}(?:\s*[,;]\s*\d{1,3})*"
MARKER = rf"(?P<space>\s*)[\[【](?P<numbers>{NUMBERS})[\]】]"
FENCE = r"`{3,}"
CODE = r"(?P<ticks>`{1,2})(?!`).{0,200}?(?<!`)(?P=ticks)(?!`)"  # within a line
PART = re.compile(rf"(?P<fence>{FENCE})|(?<!`){CODE}|{MARKER}")
# All but backticks that more may follow, or those that close them, later in the line.
KNOWN = re.compile(rf"(?:[^`]|{FENCE}(?=[^`])|{CODE}(?=[^`])|`{{1,2}}(?!`)(?=.*\n|.{{210}}))*+")
UNDECIDED = re.compile(r"\s*(?:[\[【][\d\s,;]{0,40})?$")
SENTENCE_END = re.compile(r"[.!?](?=\s)|[。！？]|\n")  # noqa: RUF001 (they end sentences too)
CLOSING = ".!?。！？"  # noqa: RUF001
GAP = re.compile(r"[\s,;:.–-]*")  # noqa: RUF001 (what may stand between a marker and its clause)


@dataclass(frozen=True, slots=True)
class Citation:
    """A stretch of the answer, in code points, and the places of its sources, from 1."""

    start: int
    end: int
    sources: Sequence[int]


class Reader:
    """Fed with pieces of the answer; gives back what may be shown."""

    def __init__(self, sources: int) -> None:
        self._sources = sources
        self._held = ""
        self.text = ""
        self.citations: list[Citation] = []
        self.invented: list[int] = []
        self._marks_end = 0  # the end of the last marker
        self._fence = ""  # that opened the block of code we are in

    def feed(self, piece: str) -> str:
        self._held += piece
        known = KNOWN.match(self._held)
        end = known.end() if known else 0
        tail = UNDECIDED.search(self._held, 0, end)
        safe = tail.start() if tail else end
        ready, self._held = self._held[:safe], self._held[safe:]
        return self._read(ready)

    def end(self) -> str:
        ready, self._held = self._held, ""
        return self._read(ready.rstrip())

    def _read(self, ready: str) -> str:
        before, place = len(self.text), 0
        for part in PART.finditer(ready):
            self.text += ready[place : part.start()]
            place = part.end()
            if part["numbers"] and not self._fence:
                self._mark(part)
                continue
            self.text += part[0]
            if part["fence"]:
                self._turn(part["fence"])
        self.text += ready[place:]
        return self.text[before:]

    def _turn(self, fence: str) -> None:
        """Into a block of code or out of it: what closes is as long as what opened, or longer."""
        if not self._fence:
            self._fence = fence
        elif len(fence) >= len(self._fence):
            self._fence = ""

    def _mark(self, marker: re.Match[str]) -> None:
        numbers = [int(one) for one in re.findall(r"\d+", marker["numbers"])]
        known = [one for one in dict.fromkeys(numbers) if 1 <= one <= self._sources]
        self.invented += [one for one in numbers if one not in known]
        if not known:
            return
        end = len(self.text.rstrip())
        adjacent = bool(self.citations) and end <= self._marks_end
        span = self.citations[-1] if adjacent else self._clause(end)
        self.text += marker["space"] + "".join(f"[{one}]" for one in known)
        self._marks_end = len(self.text)
        if adjacent:
            sources = tuple(dict.fromkeys((*span.sources, *known)))
            self.citations[-1] = Citation(span.start, span.end, sources)
        elif span.end > span.start:
            self.citations.append(Citation(span.start, span.end, tuple(known)))

    def _clause(self, end: int) -> Citation:
        """From the last marker, or the start of the sentence, to the marker."""
        ended = self.text[:end].rstrip(CLOSING)
        borders = [one.end() for one in SENTENCE_END.finditer(ended)]
        start = max(self._marks_end, *borders, 0)
        if gap := GAP.match(self.text, start, end):
            start = gap.end()
        return Citation(start, end, ())
