"""Estimates how fast the engine drains the queue, from the batches that it has computed."""

from __future__ import annotations

GUESS_WEIGHT_SECONDS = 1e-9
# After this much compute time, the weight of a batch is halved.
HALF_LIFE_SECONDS = 10.0
MAX_BATCH_SECONDS = 2.0


class Pace:
    """Recent tokens divided by recent seconds, so that large batches weigh more than small ones."""

    def __init__(self, guess: float = 0.0, guess_seconds: float = GUESS_WEIGHT_SECONDS) -> None:
        """`guess`: tokens per second, which counts like a batch of `guess_seconds`.

        By default the first batch replaces it.
        """
        self._guess_seconds = guess_seconds
        self._tokens = guess * guess_seconds
        self._seconds = guess_seconds if guess else 0.0

    @property
    def tokens_per_second(self) -> float:
        """0 without a guess, until the first batch is done."""
        return self._tokens / self._seconds if self._seconds else 0.0

    def observe(self, tokens: int, seconds: float) -> None:
        """A batch counts for at most MAX_BATCH_SECONDS, so that a stalled one does not dominate."""
        weight = min(1.0, MAX_BATCH_SECONDS / seconds) if seconds else 1.0
        kept = 0.5 ** (weight * seconds / HALF_LIFE_SECONDS)
        self._tokens = self._tokens * kept + weight * tokens
        self._seconds = self._seconds * kept + weight * seconds

    def doubt(self) -> None:
        """Keep the estimate only as a guess."""
        if self._seconds:
            self._tokens *= self._guess_seconds / self._seconds
            self._seconds = self._guess_seconds

    def seconds_for(self, tokens: float) -> float:
        return tokens * self._seconds / self._tokens if self._tokens else 0.0
