"""How fast the engine drains the queue, learnt from the batches it has done."""

from __future__ import annotations

GUESS_WEIGHT_SECONDS = 1e-9
# After so much compute, a batch counts half.
HALF_LIFE_SECONDS = 10.0
MAX_BATCH_SECONDS = 2.0


class Pace:
    """Tokens over seconds of the recent past, so that large batches weigh more than small ones."""

    def __init__(self, guess: float = 0.0) -> None:
        """`guess`: tokens a second until the first batch is done, and nothing from then on."""
        self._tokens = guess * GUESS_WEIGHT_SECONDS
        self._seconds = GUESS_WEIGHT_SECONDS if guess else 0.0

    @property
    def tokens_per_second(self) -> float:
        """0 until the first batch is done, without a guess."""
        return self._tokens / self._seconds if self._seconds else 0.0

    def observe(self, tokens: int, seconds: float) -> None:
        """A batch that stalled must not outweigh all others, so each counts for so long at most."""
        weight = min(1.0, MAX_BATCH_SECONDS / seconds) if seconds else 1.0
        kept = 0.5 ** (weight * seconds / HALF_LIFE_SECONDS)
        self._tokens = self._tokens * kept + weight * tokens
        self._seconds = self._seconds * kept + weight * seconds

    def doubt(self) -> None:
        """What was learnt is a guess from now on."""
        if self._seconds:
            self._tokens *= GUESS_WEIGHT_SECONDS / self._seconds
            self._seconds = GUESS_WEIGHT_SECONDS

    def seconds_for(self, tokens: int) -> float:
        return tokens * self._seconds / self._tokens if self._tokens else 0.0
