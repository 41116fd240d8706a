"""How fast the engine drains the queue, learnt from the batches it has done."""

from __future__ import annotations

HALF_LIFE = 10.0  # seconds of compute after which a batch counts half
MAX_BATCH_SECONDS = 2.0
GUESS_WEIGHT = 0.001


class Pace:
    """Tokens over seconds of the recent past, so that large batches weigh more than small ones."""

    def __init__(self) -> None:
        self._tokens = 0.0
        self._seconds = 0.0

    @property
    def tokens_per_second(self) -> float:
        """0 until the first batch is done."""
        return self._tokens / self._seconds if self._seconds else 0.0

    def observe(self, tokens: int, seconds: float) -> None:
        """A batch that stalled must not outweigh all others, so each counts for so long at most."""
        weight = min(1.0, MAX_BATCH_SECONDS / seconds) if seconds else 1.0
        kept = 0.5 ** (weight * seconds / HALF_LIFE)
        self._tokens = self._tokens * kept + weight * tokens
        self._seconds = self._seconds * kept + weight * seconds

    def assume(self, tokens: int, seconds: float) -> None:
        """Replace what was learnt by a guess, which the next batch will outweigh."""
        self._tokens, self._seconds = tokens * GUESS_WEIGHT, seconds * GUESS_WEIGHT

    def seconds_for(self, tokens: int) -> float:
        return tokens * self._seconds / self._tokens if self._tokens else 0.0
