"""Selects the pairs that run next. Pure: uses no clock, task or tensor."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import inf
from operator import attrgetter
from typing import Generic, TypeVar

from app.engines import Pair, tokens_of

# A pair that is longer than the batch by this factor may still join it.
MAX_WIDENING = 1.25
TURN = attrgetter("turn")


@dataclass(eq=False, slots=True)
class Job:
    """One request's pairs. `waiting` holds their positions, shortest first."""

    pairs: Sequence[Pair]
    arrival: float
    due: float
    waiting: list[int] = field(init=False)
    tokens: int = field(init=False)  # of the waiting pairs
    turn: float = field(init=False, default=0.0)  # in the order of the queue

    def __post_init__(self) -> None:
        self.waiting = sorted(range(len(self.pairs)), key=self.length)
        self.tokens = tokens_of(self.pairs)

    def length(self, position: int) -> int:
        return self.pairs[position].tokens


J = TypeVar("J", bound=Job)


@dataclass(frozen=True, slots=True)
class Slot(Generic[J]):
    """One pair of a batch, with its job and its position in the job."""

    job: J
    position: int

    @property
    def pair(self) -> Pair:
        return self.job.pairs[self.position]


class Scheduler(Generic[J]):
    """Keeps jobs in order of due time and forms batches whose size, including padding, is limited.

    A job stays until its last pair is taken, so a job with an earlier due time runs between the
    batches of a large job.
    """

    def __init__(self) -> None:
        self.tokens = 0
        self._jobs: list[J] = []
        self._newest_first = False

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def oldest_arrival(self) -> float | None:
        return min((job.arrival for job in self._jobs), default=None)

    def order(self, *, newest_first: bool) -> None:
        """With `newest_first`, a job counts as older by the time that it has until it is due."""
        self._newest_first = newest_first
        for job in self._jobs:
            job.turn = self._turn_of(job.arrival, job.due)
        self._jobs.sort(key=TURN)

    def add(self, job: J) -> None:
        job.turn = self._turn_of(job.arrival, job.due)
        insort(self._jobs, job, key=TURN)
        self.tokens += job.tokens

    def remove(self, job: J) -> int:
        """Withdraw the pairs that were not taken yet; return their number."""
        if job not in self._jobs:
            return 0
        self._jobs.remove(job)
        self.tokens -= job.tokens
        withdrawn, job.waiting, job.tokens = len(job.waiting), [], 0
        return withdrawn

    def clear(self) -> list[J]:
        """Remove and return all jobs."""
        jobs, self._jobs, self.tokens = self._jobs, [], 0
        return jobs

    def tokens_before(self, arrival: float, due: float) -> int:
        """Tokens in the queue that run before a job with this arrival and due time."""
        turn = self._turn_of(arrival, due)
        return sum(job.tokens for job in self._jobs if job.turn <= turn)

    def take(self, budget: int, enough: float = inf) -> list[Slot[J]]:
        """Return the next batch: at least one pair, then all pairs that fit, in order.

        Within a job, the longest pairs go first. A later job contributes only pairs that hardly
        widen the batch, so that all pairs of a batch have similar lengths, and only while the batch
        has not `enough` tokens.
        """
        batch: list[Slot[J]] = []
        width = tokens = 0
        for job in list(self._jobs):
            if tokens >= enough:
                return batch
            while job.waiting:
                room = budget // (len(batch) + 1)
                if batch and width > room:
                    return batch
                widest = min(room, int(width * MAX_WIDENING))
                fitting = bisect_right(job.waiting, widest, key=job.length)
                if batch and not fitting:
                    break
                # In an empty batch, `fitting` may be 0: then -1 takes the longest pair.
                batch.append(self._pop(job, fitting - 1))
                width = max(width, batch[-1].pair.tokens)
                tokens += batch[-1].pair.tokens
        return batch

    def _turn_of(self, arrival: float, due: float) -> float:
        return due - 2 * arrival if self._newest_first else due

    def _pop(self, job: J, index: int) -> Slot[J]:
        position = job.waiting.pop(index)
        tokens = job.length(position)
        job.tokens -= tokens
        self.tokens -= tokens
        if not job.waiting:
            self._jobs.remove(job)
        return Slot(job, position)
