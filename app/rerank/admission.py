"""Who may join a queue, and when each is due. Pure: the clock and the queue are told to it.

The same rules hold for the engine, where work is counted in tokens, and for the tokenizer, where
it is counted in characters.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import DeadlineExceeded, InvalidRequest, QueueFull
from app.rerank.pace import Pace

# A job is due after the head start plus this many times its own compute. The larger the stretch,
# the longer a large job lets small ones overtake; the head start keeps the smallest in FIFO order.
HEAD_START = 0.05
STRETCH = 4.0
# Before the pace is known.
FIRST_RETRY_SECONDS = 1.0
# Without work for so long, an estimate is tested and not trusted.
STALE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Load:
    """What stands before a newcomer, in the queue's unit."""

    running: int  # under way
    batch: int  # the most that leaves the queue at once
    idle: float = 0.0  # seconds since anything was under way


class Admission:
    def __init__(
        self, limit: int, unit: str = "tokens", work: str = "scoring", pace: float = 0.0
    ) -> None:
        """`pace`: a first guess, by the second."""
        self.pace = Pace(pace)
        self.limit = limit
        self._unit = unit
        self._work = work

    def due(self, now: float, amount: int, priority: int, deadline: float | None) -> float:
        """Small before large, high priority before low, old before new, and in time if asked."""
        allowance = (HEAD_START + STRETCH * self.pace.seconds_for(amount)) * (1 + priority)
        return now + allowance if deadline is None else min(now + allowance, deadline)

    def refuse_if_never(self, amount: int) -> None:
        if amount > self.limit:
            raise InvalidRequest(
                f"documents hold {amount} {self._unit}, more than the {self.limit} that may wait "
                "at all",
                field="documents",
                limit=self.limit,
            )

    def refuse_if_full(self, waiting: int, amount: int, load: Load, delay: float = 0.0) -> None:
        """Room is made batch by batch, the first once all is computed that runs.

        `delay`: seconds until what holds the room has come to the queue itself.
        """
        self.refuse_if_never(amount)
        over = waiting + amount - self.limit
        if over > 0:
            raise QueueFull(
                f"{waiting} of {self.limit} {self._unit} are waiting; {amount} more do not fit",
                retry_after=self._hint(load.running + max(over, load.batch)) + delay,
            )

    def refuse_if_late(self, left: float, ahead: int, amount: int, load: Load) -> None:
        """Rather now than after the work: `left` is the time to the deadline.

        A batch counts as ahead until all of it is computed, so the hint allows for one more.

        After a pause the estimate may be wrong, and nothing else would correct it: one job is
        let in to find out.
        """
        own, wait = self.pace.seconds_for(amount), self.pace.seconds_for(ahead)
        if own > left and not ahead and load.idle >= STALE_SECONDS:
            self.pace.doubt()
            return
        if own > left:
            raise DeadlineExceeded(
                f"{self._work} takes about {own:.1f} s, and {max(left, 0):.1f} s are left"
            )
        if wait + own > left:
            raise QueueFull(
                f"the queue is about {wait:.1f} s long, too long for the {left:.1f} s left",
                retry_after=self.pace.seconds_for(load.batch)
                + max(wait + own - left, self.pace.seconds_for(load.running)),
            )

    def _hint(self, amount: int) -> float:
        return self.pace.seconds_for(amount) or FIRST_RETRY_SECONDS
