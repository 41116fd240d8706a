"""What a reranker needs of the queue that scores its pairs. A bulk run has a queue of its own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from app.engines import Pair


class Scored(Protocol):
    """The logits of pairs; None for a pair that could not be scored. Times are seconds."""

    @property
    def logits(self) -> Sequence[float | None]: ...

    @property
    def queue(self) -> float: ...

    @property
    def compute(self) -> float: ...


class ScoringQueue(Protocol):
    """`batcher.Batcher` describes the methods."""

    @property
    def max_queue_tokens(self) -> int: ...

    def expecting(
        self,
        tokens: int,
        delay: float = 0.0,
        *,
        at_least: int = 0,
        priority: int = 0,
        deadline: float | None = None,
    ) -> AbstractContextManager[None]: ...

    async def submit(
        self, pairs: Sequence[Pair], *, priority: int = 0, deadline: float | None = None
    ) -> Scored: ...
