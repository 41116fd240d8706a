"""How fast the engine drains the queue, learnt from the batches it has done."""

from __future__ import annotations

WEIGHT = 0.2  # of the newest batch


class Pace:
    def __init__(self) -> None:
        self._seconds_per_token: float | None = None

    @property
    def tokens_per_second(self) -> float:
        """0 until the first batch is done."""
        return 1 / self._seconds_per_token if self._seconds_per_token else 0.0

    def observe(self, tokens: int, seconds: float) -> None:
        newest = seconds / max(tokens, 1)
        known = self._seconds_per_token
        self._seconds_per_token = newest if known is None else known + WEIGHT * (newest - known)

    def seconds_for(self, tokens: int) -> float:
        return tokens * (self._seconds_per_token or 0.0)
