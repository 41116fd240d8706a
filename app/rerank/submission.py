"""A job as the batcher keeps it: with the scores so far, and the future its caller awaits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.rerank.scheduler import Job


@dataclass(frozen=True, slots=True)
class Scored:
    """A job's logits in its own order; None where a pair alone could not be scored."""

    logits: Sequence[float | None]
    queue: float
    compute: float


@dataclass(eq=False, slots=True)
class Submission(Job):
    future: asyncio.Future[Scored]
    logits: list[float | None] = field(init=False)
    left: int = field(init=False)
    compute: float = 0.0

    def __post_init__(self) -> None:
        super(Submission, self).__post_init__()
        self.logits = [None] * len(self.pairs)
        self.left = len(self.pairs)

    def finish(self, now: float) -> None:
        if not self.future.done():  # else the caller has gone
            queue = max(0.0, now - self.arrival - self.compute)
            self.future.set_result(Scored(self.logits, queue, self.compute))

    def refuse(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)
