"""A batch cut into slices of like length: what is padded is computed and thrown away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.engines import Pair, tokens_of


@dataclass(frozen=True, slots=True)
class Slicing:
    """How an engine likes its batches.

    A slice ends where `tokens` would be exceeded, or where padding one more pair, on top of what is
    padded already, costs more than `waste` tokens: about what a call of the engine costs by itself.
    An engine of several `streams` computes as many slices at once: each gets its share of a batch.
    """

    tokens: int
    waste: int
    multiple: int = 1  # widths are rounded up to it: fewer shapes to prepare for
    streams: int = 1

    def width(self, tokens: int) -> int:
        return -(-tokens // self.multiple) * self.multiple

    def cut(self, batch: Sequence[Pair]) -> list[list[int]]:
        """Places in `batch`, longest pairs first."""
        slices: list[list[int]] = []
        width = padded = 0
        share = self._share(tokens_of(batch))
        for place in sorted(range(len(batch)), key=lambda one: -batch[one].tokens):
            padded += width - batch[place].tokens
            limit = min(self.tokens, share + width // 2)
            full = not slices or width * (len(slices[-1]) + 1) > limit
            if full or padded > self.waste:
                slices.append([])
                width = self.width(batch[place].tokens)
                padded = width - batch[place].tokens
            slices[-1].append(place)
        return slices

    def _share(self, tokens: int) -> int:
        """Of a slice, if each stream is to have as many slices."""
        if self.streams == 1:
            return self.tokens
        rounds = -(-tokens // (self.streams * self.tokens)) or 1
        return -(-tokens // (self.streams * rounds))

    def cost(self, batch: Sequence[Pair]) -> int:
        """Tokens computed for a batch, padding included."""
        return sum(self.width(batch[places[0]].tokens) * len(places) for places in self.cut(batch))


# A batch stays whole, however unlike its pairs.
WHOLE = Slicing(tokens=2**62, waste=2**62)
