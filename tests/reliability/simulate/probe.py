"""The one file that reads private attributes of the service: what must hold at every moment."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import date
from math import ceil, inf

from app.events import Event, LLMCalled
from app.llm.fallback_chain import FallbackChain
from app.rerank.batcher import Batcher
from app.rerank.cache import Cache
from app.rerank.reranker import Reranker
from app.rerank.scheduler import Job, Slot
from app.rerank.submission import Submission
from tests.reliability.simulate.loop import Violation

Batch = list[Slot[Submission]]


@dataclass(slots=True)
class Passed:
    """A job past its due time: in how many batches it had no pair, and in how many it may."""

    times: int
    bound: int


class Probe:
    def __init__(self, batcher: Batcher, reranker: Reranker, cache: Cache) -> None:
        self._batcher = batcher
        self._scheduler = batcher._scheduler
        self._in_flight = reranker._in_flight
        self._tokenizing = reranker.tokenizing
        self._cache = cache
        self._now = asyncio.get_running_loop().time
        self._overdue: dict[Submission, Passed] = {}
        self._budget = batcher.budget
        self._busy_at = 0.0
        self._abandoned: set[int] = set()
        self.longest_passed = 0
        take = self._scheduler.take

        def watched(budget: int, enough: float = inf) -> Batch:
            jobs = list(self._scheduler._jobs)
            batch = take(budget, enough)
            check_batch(jobs, batch, budget)
            if batcher.newest_first:
                self._overdue.clear()  # then a job may be overtaken for as long as others arrive
            else:
                self._count_passed(jobs, batch, budget)
            return batch

        self._scheduler.take = watched  # type: ignore[method-assign]

    @property
    def running_tokens(self) -> int:
        return self._batcher._running_tokens

    def look(self) -> None:
        """After each round of the loop: is there anything to do?"""
        batcher = self._batcher
        if batcher._running_tokens or self._scheduler.tokens or batcher._expected:
            self._busy_at = self._now()

    @property
    def idle_seconds(self) -> float:
        """How long no request has been tokenized, waiting or computed."""
        return self._now() - self._busy_at

    def check(self) -> None:
        """Every few rounds of the loop: cheap, and true whatever happens."""
        batcher, jobs = self._batcher, self._scheduler._jobs
        if sum(job.tokens for job in jobs) != self._scheduler.tokens:
            raise Violation("the queue's tokens are not the sum of its jobs'")
        if sum(work.chars for work in self._tokenizing._turns._works) != (
            self._tokenizing.waiting_chars
        ):
            raise Violation("the tokenizer's characters are not the sum of its requests'")
        if batcher._expected < 0:
            raise Violation(f"{batcher._expected} tokens are expected")
        running = sum(slot.pair.tokens for batch in batcher._running for slot in batch)
        if running != batcher._running_tokens:
            raise Violation(f"{running} tokens run, and {batcher._running_tokens} are counted")
        if len(batcher._running) > batcher._at_once:
            raise Violation(f"{len(batcher._running)} batches run at once")
        abandoned = {id(job) for job in jobs if job.future.done()}
        if not all(job.waiting for job in jobs) or abandoned & self._abandoned:
            raise Violation("a job waits that has no pairs or no caller left")
        self._abandoned = abandoned  # a caller who just left withdraws its job in the next round

    def check_deeply(self) -> None:
        for job in self._scheduler._jobs:
            if job.tokens != sum(map(job.length, job.waiting)):
                raise Violation("a job's tokens are not those of its waiting pairs")
        if len(self._cache) > self._cache._capacity:
            raise Violation("the cache holds more than its bound")

    def check_idle(self) -> None:
        """Nobody asks any more: nothing is left behind."""
        self.check()
        self.check_deeply()
        batcher = self._batcher
        left = {
            "waiting tokens": batcher.waiting_tokens,
            "expected tokens": batcher._expected,
            "running tokens": batcher._running_tokens,
            "in flight": len(self._in_flight),
            "waiting characters": self._tokenizing.waiting_chars,
            "portions": len(self._tokenizing._running),
            "calls": batcher.calls.age,
            "jobs": len(self._scheduler),
        }
        if any(left.values()):
            raise Violation(f"left behind: {left}")

    def _count_passed(self, jobs: list[Submission], batch: Batch, budget: int) -> None:
        """The bound: jobs that are due earlier, each by the batches that it can take.

        A job that arrives after this one is due is due later still, so none comes in between. The
        earliest job opens every batch, and a batch in which it leaves pairs behind is full of it.
        """
        now = self._now()
        if not jobs or jobs[0].due > now:
            return
        served = {id(slot.job) for slot in batch}
        fresh = self._budget != budget
        self._budget = budget
        ahead = 0
        overdue: dict[Submission, Passed] = {}
        for job in jobs:
            if job.due > now:
                break
            passed = self._overdue.get(job)
            if passed is None or fresh:
                passed = Passed(0, ahead)
            ahead += batches_of(job, budget)
            if job.waiting and id(job) not in served:
                passed.times += 1
                self.longest_passed = max(self.longest_passed, passed.times)
                if passed.times > passed.bound:
                    raise Violation(f"an overdue job was passed over in {passed.times} batches")
            overdue[job] = passed
        self._overdue = overdue


def batches_of(job: Job, budget: int) -> int:
    """The most batches that a job's waiting pairs fill, widest first.

    Let w be the width of a batch: it holds at least budget / w - 1 pairs, or one. Unless the next
    batch is narrower than w / 2, they hold a quarter of the budget; and widths halve at most
    log2(widest) times. `job` is as it is after the batch: what was taken from it counts once more.
    """
    widest = job.length(job.waiting[-1]) if job.waiting else 1
    return 2 + widest.bit_length() + ceil(4 * job.tokens / budget)


def check_batch(jobs: list[Submission], batch: Batch, budget: int) -> None:
    if bool(jobs) != bool(batch):
        raise Violation("a batch is empty while jobs wait")
    if not batch:
        return
    if batch[0].job.due != jobs[0].due:
        raise Violation("the batch does not open with the job that is due first")
    widths = [slot.pair.tokens for slot in batch]
    if len(batch) > 1 and max(widths) * len(batch) > budget:
        raise Violation(f"a batch of {max(widths) * len(batch)} tokens, of {budget} at most")
    if len({(id(slot.job), slot.position) for slot in batch}) != len(batch):
        raise Violation("a pair is twice in a batch")


class ChainProbe:
    """Adds up, day by day, what calls took, and compares it with the budget's own page."""

    def __init__(self, chain: FallbackChain, limit: int) -> None:
        self._chain = chain
        self._limit = limit
        self._counted: Counter[date] = Counter()
        self._overspent = ""

    def count(self, event: Event) -> None:
        if not isinstance(event, LLMCalled):
            return
        page = self._chain.budget._page
        self._counted[page.day] += event.prompt_tokens + event.completion_tokens
        if self._limit and page.tokens > self._limit:
            self._overspent = f"{page.tokens} of {self._limit} tokens are spent or held"

    def check_idle(self) -> None:
        """Nothing is held any more, and nothing was spent beyond the limit."""
        if self._overspent:
            raise Violation(self._overspent)
        slots, page = self._chain.slots, self._chain.budget._page
        left = {
            "questions that wait": slots.waiting,
            "slots": len(slots._running),
            "probes": sum(link.breaker._probing for link in self._chain.links),
            "held tokens": page.tokens - self._counted[page.day] if self._limit else 0,
        }
        if any(left.values()):
            raise Violation(f"left behind by the language models: {left}")
