"""How fast the engine drains the queue, learnt from the batches it has done."""

from __future__ import annotations

HALF_LIFE = 10.0  # seconds of compute after which a batch counts half


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
        """A batch counts for at most a half-life: one that stalled must not erase all others."""
        weight = min(1.0, HALF_LIFE / seconds) if seconds else 1.0
        kept = 0.5 ** (weight * seconds / HALF_LIFE)
        self._tokens = self._tokens * kept + weight * tokens
        self._seconds = self._seconds * kept + weight * seconds

    def seconds_for(self, tokens: int) -> float:
        return tokens * self._seconds / self._tokens if self._tokens else 0.0
