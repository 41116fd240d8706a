"""Decides which jobs may join a queue and when each is due.

Pure: callers pass the time and the state of the queue. The rules apply to the engine, whose unit
is the token, and to the tokenizer, whose unit is the character.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import DeadlineExceeded, InvalidRequest, QueueFull
from app.rerank.pace import Pace

# A job is due after HEAD_START seconds plus STRETCH times its own compute time. With a larger
# STRETCH, small jobs overtake a large job for longer. HEAD_START keeps the smallest jobs in FIFO
# order.
HEAD_START = 0.05
STRETCH = 4.0
# Used before the pace is known.
FIRST_RETRY_SECONDS = 1.0
# After this time without work, the estimate is tested with one job.
STALE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Load:
    """The work before a new job, in the unit of the queue."""

    running: int  # being computed now
    batch: int  # maximum that leaves the queue at once
    idle: float = 0.0  # seconds since anything was under way


class Admission:
    def __init__(
        self, limit: int, unit: str = "tokens", work: str = "scoring", pace: Pace | None = None
    ) -> None:
        """`pace` is measured in `unit` per second."""
        self.pace = pace or Pace()
        self.limit = limit
        self._unit = unit
        self._work = work

    def due(self, now: float, amount: int, priority: int, deadline: float | None) -> float:
        """The due time: earlier for small, urgent and old jobs, and never after the deadline."""
        allowance = (HEAD_START + STRETCH * self.pace.seconds_for(amount)) * (1 + priority)
        return now + allowance if deadline is None else min(now + allowance, deadline)

    def refuse_if_never(self, amount: int) -> None:
        if amount > self.limit:
            raise InvalidRequest(
                f"documents total {amount} {self._unit}; the queue accepts at most {self.limit}"
                " (set by max_queue_tokens)",
                field="documents",
                limit=self.limit,
            )

    def refuse_if_full(self, waiting: int, amount: int, load: Load, delay: float = 0.0) -> None:
        """The hint assumes that room becomes free batch by batch after the running work ends.

        `delay`: seconds until the jobs that reserve the room have reached the queue.
        """
        self.refuse_if_never(amount)
        over = waiting + amount - self.limit
        if over > 0:
            raise QueueFull(
                f"{waiting} of {self.limit} {self._unit} are waiting; {amount} more do not fit",
                retry_after=self._hint(load.running + max(over, load.batch)) + delay,
            )

    def refuse_if_late(
        self, left: float, ahead: int, amount: int, load: Load, later: float = 0.0
    ) -> None:
        """Refuse a job that cannot be done in the `left` seconds before its deadline.

        `later`: work that is expected to arrive meanwhile and to run before the job.

        A batch counts as ahead until it is fully computed, so the hint includes one more batch.

        After a pause the estimate may be wrong, and only a new measurement can correct it, so
        one job is admitted.
        """
        own, wait = self.pace.seconds_for(amount), self.pace.seconds_for(ahead + later)
        if own > left and not ahead and load.idle >= STALE_SECONDS:
            self.pace.doubt()
            return
        if own > left:
            raise DeadlineExceeded(
                f"{self._work} takes about {own:.1f} s; {max(left, 0):.1f} s are left of the limit"
            )
        if wait + own > left:
            raise QueueFull(
                f"the queue takes about {wait:.1f} s; {left:.1f} s are left of the limit",
                retry_after=self.pace.seconds_for(load.batch)
                + max(wait + own - left, self.pace.seconds_for(load.running)),
            )

    def _hint(self, amount: int) -> float:
        return self.pace.seconds_for(amount) or FIRST_RETRY_SECONDS
