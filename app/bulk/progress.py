"""How far a run is, how fast it is, and when it ends: a bar on a terminal, otherwise lines."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TextIO

BAR_SECONDS, LINE_SECONDS = 0.2, 10.0
BAR_WIDTH = 20


class Progress:
    """Counts documents. Only blocks are counted exactly: a long document is several pairs."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._bar = stream.isatty()
        self._total = self._before = self._ended = self._under_way = 0
        self._started = self._shown = clock()

    def start(self, total: int, before: int) -> None:
        """`before`: what an earlier run has done."""
        self._total, self._before, self._ended = total, before, before
        self.say(f"{total:,} pairs to rank, {before:,} of them done before")
        self._started = self._shown = self._clock()

    @property
    def seconds(self) -> float:
        return self._clock() - self._started

    @property
    def done(self) -> int:
        return min(self._total, self._ended + self._under_way)

    @property
    def rate(self) -> float:
        """Of this run alone."""
        return (self.done - self._before) / max(self.seconds, 1e-9)

    def advance(self, documents: int) -> None:
        self._under_way += documents
        now = self._clock()
        if now - self._shown >= (BAR_SECONDS if self._bar else LINE_SECONDS):
            self._shown = now
            self._write(self.text())

    def end_block(self, documents: int) -> None:
        self._ended += documents
        self._under_way = max(0, self._under_way - documents)

    def finish(self, figures: str) -> None:
        self.say(
            f"{self.done - self._before:,} pairs in {duration(self.seconds)}, "
            f"{self.rate:.0f} pairs/s, {figures}"
        )

    def say(self, text: str) -> None:
        """A line of its own."""
        self._write(f"rerankd: {text}", ended=True)

    def text(self) -> str:
        share = self.done / self._total if self._total else 1.0
        full = round(share * BAR_WIDTH)
        bar = f"{'█' * full}{'░' * (BAR_WIDTH - full)} " if self._bar else ""
        left = (self._total - self.done) / self.rate if self.rate else 0.0
        return (
            f"{bar}{share:4.0%}  {self.done:,} of {self._total:,} pairs, "
            f"{self.rate:.0f} pairs/s, {duration(left)} left"
        )

    def _write(self, text: str, *, ended: bool = False) -> None:
        start = "\r\x1b[K" if self._bar else ""
        end = "" if self._bar and not ended else "\n"
        self._stream.write(f"{start}{text}{end}")
        self._stream.flush()


def duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
