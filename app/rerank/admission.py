"""Who may join the queue, and when each is due. Pure: the clock and the queue are told to it."""

from __future__ import annotations

from app.errors import DeadlineExceeded, InvalidRequest, QueueFull
from app.rerank.pace import Pace

# A job is due after the head start plus this many times its own compute. The larger the stretch,
# the longer a large job lets small ones overtake; the head start keeps the smallest in FIFO order.
HEAD_START = 0.05
STRETCH = 4.0


class Admission:
    def __init__(self, max_queue_tokens: int) -> None:
        self.pace = Pace()
        self.max_queue_tokens = max_queue_tokens

    def due(self, now: float, tokens: int, priority: int, deadline: float | None) -> float:
        """Small before large, high priority before low, old before new, and in time if asked."""
        allowance = (HEAD_START + STRETCH * self.pace.seconds_for(tokens)) * (1 + priority)
        return now + allowance if deadline is None else min(now + allowance, deadline)

    def refuse_if_full(self, waiting: int, tokens: int, running: int, batch: int) -> None:
        """The queue drains when a batch is taken from it, so what runs must be computed first."""
        most = self.max_queue_tokens
        if tokens > most:
            raise InvalidRequest(
                f"documents hold {tokens} tokens, more than the {most} that may wait at all",
                field="documents",
                limit=most,
            )
        over = waiting + tokens - most
        if over > 0:
            raise QueueFull(
                f"{waiting} of {most} tokens are waiting; {tokens} more do not fit",
                retry_after=self.pace.seconds_for(running + max(over, batch)),
            )

    def refuse_if_late(
        self, left: float, ahead: int, tokens: int, running: int, batch: int
    ) -> None:
        """Rather now than after the work: `left` is the time to the deadline.

        A batch counts as ahead until all of it is computed, so the hint allows for one more.
        """
        own, wait = self.pace.seconds_for(tokens), self.pace.seconds_for(ahead)
        if own > left:
            raise DeadlineExceeded(
                f"scoring takes about {own:.1f} s, and {max(left, 0):.1f} s are left"
            )
        if wait + own > left:
            late = wait + own - left
            raise QueueFull(
                f"the queue is about {wait:.1f} s long, too long for the {left:.1f} s left",
                retry_after=self.pace.seconds_for(batch)
                + max(late, self.pace.seconds_for(running)),
            )
