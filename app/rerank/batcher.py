"""One task takes batches from the queue, has the engine score them and delivers the scores.

Only the event loop changes the state, so there are no locks. In every case, the future of each
job gets a result or an error, or is cancelled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from math import inf
from typing import Self

from app.engines import OutOfMemory, Pair, checked, tokens_of
from app.engines.slices import WHOLE
from app.errors import Draining, EngineFailed, Refused
from app.events import BatchDone, Observe, PairsWithdrawn, ignore
from app.rerank.abandonment import Abandonment
from app.rerank.admission import Admission, Load
from app.rerank.calls import Calls
from app.rerank.overtaking import Overtaking
from app.rerank.pace import Pace
from app.rerank.scheduler import Scheduler
from app.rerank.submission import Batch, Submission, deliver

Score = Callable[[Sequence[Pair]], Awaitable[Sequence[float]]]

logger = logging.getLogger(__name__)

MIN_BATCH_TOKENS = 256
FAILURES_UNTIL_SUSPECTED = 3
HANGING_RETRY_SECONDS = 10.0
# While most callers leave, a batch takes not much longer, or as long as its first job.
SHORT_BATCH_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Limits:
    max_batch_tokens: int
    max_queue_tokens: int
    max_wait: float = 0.0
    # Concurrent batches. A second batch keeps streams busy that have finished the first.
    at_once: int = 1


class Batcher:
    def __init__(
        self,
        score: Score,
        limits: Limits,
        observe: Observe = ignore,
        cost: Callable[[Sequence[Pair]], int] = WHOLE.cost,
    ) -> None:
        self.failing: str | None = None  # set while the engine fails every batch; the reason
        self.suspected = asyncio.Event()  # set when the engine may be failing every batch
        self._score = score
        self._max_wait = limits.max_wait
        self._at_once = limits.at_once
        self._admission = Admission(limits.max_queue_tokens)
        self._overtaking = Overtaking()
        self._budget = limits.max_batch_tokens
        self._observe = observe
        self._cost = cost  # tokens computed for a batch, including padding
        self._scheduler: Scheduler[Submission] = Scheduler()
        self._abandonment = Abandonment()
        self._running: list[Batch] = []
        self._running_tokens = 0
        self._last_ended = 0.0
        self._expected = 0
        self._crash: str | None = None
        self._hanging: str | None = None
        self.calls = Calls(self.pace)
        self._failures = 0
        self._closed = True
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._closed = False
        self._task = asyncio.create_task(self._run(), name="batcher")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Refuse new and waiting jobs; let running batches end."""
        self._close()
        if self._task is not None:
            await self._task

    @property
    def pace(self) -> Pace:
        return self._admission.pace

    @property
    def problem(self) -> str | None:
        """Why the engine cannot score; None if it can."""
        return self._crash or self._hanging or self.failing

    @property
    def waiting_tokens(self) -> int:
        return self._scheduler.tokens

    @property
    def newest_first(self) -> bool:
        return self._abandonment.prevails

    @property
    def budget(self) -> int:
        return self._budget

    @property
    def max_queue_tokens(self) -> int:
        return self._admission.limit

    @contextmanager
    def expecting(
        self,
        tokens: int,
        delay: float = 0.0,
        *,
        at_least: int = 0,
        priority: int = 0,
        deadline: float | None = None,
    ) -> Iterator[None]:
        """Reserve room for a job that is not tokenized yet, to refuse overload before that work.

        `tokens` is an estimate and may be too high, so it never refuses a job permanently;
        `at_least` is a certain lower bound. `delay`: seconds until the requests that are being
        tokenized now have reached the queue.
        """
        self._refuse_if_closed()
        if deadline is not None:
            self._refuse_hopeless(at_least, priority, deadline)
        held = min(tokens, self.max_queue_tokens)
        self._refuse_if_full(held, delay)
        self._expected += held
        try:
            yield
        finally:
            self._expected -= held

    def hold_back(self, reason: str | None) -> None:
        """Refuse all waiting and new jobs until this is called with None."""
        self._hanging = reason
        if reason is not None:
            self._refuse_waiting()

    async def submit(
        self, pairs: Sequence[Pair], *, priority: int = 0, deadline: float | None = None
    ) -> Submission:
        """Score `pairs`. If the caller is cancelled, pairs that have not run yet are withdrawn."""
        if not pairs:
            loop = asyncio.get_running_loop()
            return Submission(pairs, loop.time(), loop.time(), loop.create_future())
        job = self._admit(pairs, priority, deadline)
        self._changed.set()
        try:
            await job.future
        except asyncio.CancelledError:
            now = asyncio.get_running_loop().time()
            if deadline is None or now < deadline:
                self._learn(now, left=True)
            raise
        finally:
            if withdrawn := self._scheduler.remove(job):
                self._observe(PairsWithdrawn(withdrawn))
        self._learn(asyncio.get_running_loop().time(), left=False)
        return job

    def _learn(self, now: float, *, left: bool) -> None:
        if self._abandonment.observe(now, left=left):
            self._scheduler.order(newest_first=self.newest_first)
            if self.newest_first:
                logger.warning("newest_first")
            else:
                logger.info("oldest_first")

    def _admit(self, pairs: Sequence[Pair], priority: int, deadline: float | None) -> Submission:
        self._refuse_if_closed()
        loop = asyncio.get_running_loop()
        now, tokens = loop.time(), tokens_of(pairs)
        self._refuse_if_full(tokens)
        due = self._admission.due(now, tokens, priority, deadline)
        if deadline is not None:
            self._refuse_if_late(now, due, deadline, tokens)
        job = Submission(pairs, now, due, loop.create_future())
        self._scheduler.add(job)
        self._overtaking.observe(now, due - now, tokens)
        return job

    def _refuse_if_closed(self) -> None:
        if self._closed or self._hanging:
            raise self._refusal()

    def _refuse_hopeless(self, at_least: int, priority: int, deadline: float) -> None:
        self._admission.refuse_if_never(at_least)
        now = asyncio.get_running_loop().time()
        due = self._admission.due(now, at_least, priority, deadline)
        self._refuse_if_late(now, due, deadline, 0)

    def _refuse_if_full(self, tokens: int, delay: float = 0.0) -> None:
        queued = self._scheduler.tokens
        waiting = queued + self._expected
        # Reservations free room only after their jobs have reached the queue.
        enough = waiting + tokens - self.max_queue_tokens <= queued
        self._admission.refuse_if_full(waiting, tokens, self._load, 0.0 if enough else delay)

    def _refuse_if_late(self, now: float, due: float, deadline: float, tokens: int) -> None:
        ahead = self._running_tokens + self._scheduler.tokens_before(now, due)
        later = self._overtaking.expected(now, due - now, deadline - now)
        self._admission.refuse_if_late(deadline - now, ahead, tokens, self._load, later)

    @property
    def _load(self) -> Load:
        idle = 0.0 if self._running else asyncio.get_running_loop().time() - self._last_ended
        return Load(self._running_tokens, self._budget * self._at_once, idle)

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                while not self._closed:
                    await self._batch_due()
                    if batch := self._scheduler.take(self._budget, self._enough):
                        self._running.append(batch)
                        self._running_tokens += tokens_of(slot.pair for slot in batch)
                        tasks.create_task(self._compute(batch))
        except ExceptionGroup as group:
            logger.exception("batcher_crashed")
            self._crash = f"the batcher crashed: {type(group.exceptions[0]).__name__}"
        finally:
            self._close()
            for slot in chain.from_iterable(self._running):
                slot.job.refuse(self._refusal())

    @property
    def _enough(self) -> float:
        """Tokens of a batch: a short one lets the newest start soon, if callers wait no longer."""
        short = self.pace.tokens_per_second * SHORT_BATCH_SECONDS
        return max(MIN_BATCH_TOKENS, short) if self.newest_first else inf

    async def _batch_due(self) -> None:
        """Wait until a batch is due and the engine has capacity, or the batcher closes."""
        now = asyncio.get_running_loop().time
        while not self._closed:
            due = None
            if len(self._running) < self._at_once:
                oldest = self._scheduler.oldest_arrival
                due = None if oldest is None else oldest + self._max_wait
                if self._scheduler.tokens >= self._budget or (due is not None and now() >= due):
                    return
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._changed.wait()

    async def _compute(self, batch: Batch) -> None:
        now = asyncio.get_running_loop().time
        started = now()
        logits = await self._attempt([slot.pair for slot in batch], again=len(batch) == 1)
        # Exclude the time in which the engine also computed the previous batch.
        started, ended = max(started, self._last_ended), now()
        self._last_ended = ended
        tokens = tokens_of(slot.pair for slot in batch)
        failed = logits.count(None)
        if failed < len(batch):
            self.pace.observe(tokens, ended - started)
        self._judge(failed, len(batch))
        self._running.remove(batch)
        self._running_tokens -= tokens
        self._changed.set()
        await deliver(batch, logits, ended - started, ended)
        self._observe(
            BatchDone(
                len(batch),
                tokens,
                self._cost([slot.pair for slot in batch]) - tokens,
                ended - started,
                failed,
                self._budget,
            )
        )

    async def _attempt(self, pairs: Sequence[Pair], *, again: bool = False) -> list[float | None]:
        """Score the pairs. On failure, score each half, so that a pair that cannot be scored fails
        alone.

        `again`: retry a single pair once. A batch of several pairs needs no retry, because each
        pair runs again in its half.
        """
        tokens = tokens_of(pairs)
        try:
            with self.calls.under_way(tokens):
                return checked(await self._score(pairs), len(pairs))
        except OutOfMemory:
            self._budget = min(self._budget, max(MIN_BATCH_TOKENS, tokens // 2))
            fields = {"max_batch_tokens": self._budget}
            logger.warning("out_of_memory", extra={"fields": fields})
        except asyncio.CancelledError:
            if cancelled():
                raise
            logger.exception("scoring_cancelled", extra={"fields": {"pairs": len(pairs)}})
        except Exception:
            logger.exception("scoring_failed", extra={"fields": {"pairs": len(pairs)}})
        if len(pairs) == 1:
            return await self._attempt(pairs) if again else [None]
        half = len(pairs) // 2
        return await self._attempt(pairs[:half]) + await self._attempt(pairs[half:])

    def _judge(self, failed: int, pairs: int) -> None:
        """After several consecutive batches without any score, suspect the engine. The cause may
        also be the documents."""
        self._failures = self._failures + 1 if failed == pairs else 0
        if self._failures >= FAILURES_UNTIL_SUSPECTED:
            self.suspected.set()

    def _refusal(self) -> Refused:
        if self._crash or self._hanging:
            return EngineFailed(self.problem or "", retry_after=HANGING_RETRY_SECONDS)
        return Draining("the service is shutting down", retry_after=1.0)

    def _close(self) -> None:
        self._closed = True
        self._refuse_waiting()
        self._changed.set()

    def _refuse_waiting(self) -> None:
        for job in self._scheduler.clear():
            job.refuse(self._refusal())


def cancelled() -> bool:
    """Whether this task is being cancelled. If not, only the awaited operation was cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
