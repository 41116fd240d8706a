"""A job with its scores so far, and the future that its caller awaits."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from app.rerank.scheduler import Job


@dataclass(eq=False, slots=True)
class Submission(Job):
    """`queue` and `compute` are seconds; a logit is None if its pair could not be scored."""

    future: asyncio.Future[None]
    logits: list[float | None] = field(init=False)
    left: int = field(init=False)
    queue: float = 0.0
    compute: float = 0.0

    def __post_init__(self) -> None:
        super(Submission, self).__post_init__()
        self.logits = [None] * len(self.pairs)
        self.left = len(self.pairs)

    def finish(self, now: float) -> None:
        if not self.future.done():  # else the caller was cancelled
            self.queue = max(0.0, now - self.arrival - self.compute)
            self.future.set_result(None)

    def refuse(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)
