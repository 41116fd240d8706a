"""A batch cut into slices of similar lengths: padding is computed and thrown away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.engines import Pair, tokens_of


@dataclass(frozen=True, slots=True)
class Slicing:
    """The form in which an engine computes a batch best.

    A slice ends where `tokens` would be exceeded, or where padding one more pair, in addition to
    the padding so far, costs more than `waste` tokens: about what a call of the engine costs by
    itself. Widths are rounded up to a `multiple`, so that there are fewer shapes to prepare for.
    An engine of several `streams` computes as many slices at once: each gets its share of a batch.
    With `prepares`, the first slice of a shape is slow.
    """

    tokens: int
    waste: int
    multiple: int = 1
    streams: int = 1
    prepares: bool = True

    def for_any_widths(self) -> Slicing:
        """For batches of all widths in turn, none of which is rounded up if that gains nothing."""
        return self if self.prepares else replace(self, multiple=1)

    def width(self, tokens: int) -> int:
        return -(-tokens // self.multiple) * self.multiple

    def cut(self, batch: Sequence[Pair]) -> list[list[int]]:
        """Indexes in `batch`, longest pairs first."""
        slices: list[list[int]] = []
        width = padded = 0
        share = self._share(tokens_of(batch))
        for index in sorted(range(len(batch)), key=lambda i: -batch[i].tokens):
            padded += width - batch[index].tokens
            limit = min(self.tokens, share + width // 2)
            full = not slices or width * (len(slices[-1]) + 1) > limit
            if full or padded > self.waste:
                slices.append([])
                width = self.width(batch[index].tokens)
                padded = width - batch[index].tokens
            slices[-1].append(index)
        return slices

    def _share(self, tokens: int) -> int:
        """Tokens of a slice that give each stream the same number of slices."""
        if self.streams == 1:
            return self.tokens
        rounds = -(-tokens // (self.streams * self.tokens)) or 1
        return -(-tokens // (self.streams * rounds))

    def cost(self, batch: Sequence[Pair]) -> int:
        """Tokens computed for a batch, padding included."""
        slices = self.cut(batch)
        return sum(self.width(batch[indexes[0]].tokens) * len(indexes) for indexes in slices)


# A batch stays whole, however different its pairs.
WHOLE = Slicing(tokens=2**62, waste=2**62)
