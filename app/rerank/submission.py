"""A job with its scores so far, and the future that its caller awaits; delivers a batch to them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.event_loop import pause
from app.rerank.scheduler import Job, Slot

# What a caller does with its scores takes 0.1 to 0.3 ms.
JOBS_BETWEEN_PAUSES = 20


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


Batch = Sequence[Slot[Submission]]


async def deliver(batch: Batch, logits: Sequence[float | None], seconds: float, now: float) -> None:
    """A batch may end a thousand jobs: other tasks run between the steps of their callers."""
    for slot, logit in zip(batch, logits, strict=True):
        slot.job.logits[slot.position] = logit
        slot.job.left -= 1
    jobs = {id(slot.job): slot.job for slot in batch}.values()
    for job in jobs:
        job.compute += seconds
    ended = [job for job in jobs if not job.left]
    try:
        for count, job in enumerate(ended, 1):
            job.finish(now)
            if count % JOBS_BETWEEN_PAUSES == 0:
                await pause()
    finally:  # if the batcher crashes during a pause, these jobs have their scores
        for job in ended:
            job.finish(now)
