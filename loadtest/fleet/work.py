"""What a fleet is asked: the mixture of `mixed`, as the scheduler sees it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice

import numpy as np

from app.engines import Pair
from app.engines.clipping import CHARS_THAT_COUNT
from app.rerank.reranker import CHARS_PER_TOKEN
from app.rerank.scheduler import Job, Scheduler
from loadtest.fleet.service_times import ServiceTimes
from loadtest.traffic import poisson_arrivals
from loadtest.workload import MARKERS, MEAN_DOCUMENTS, Request, mixture

MAX_TOKENS = 512
POOL = 1_000  # requests, used again and again
SEED = 1


@cache
def pair_of(tokens: int) -> Pair:
    """Pairs of one length are equal for the scheduler."""
    return Pair(np.zeros(min(tokens, MAX_TOKENS), dtype=np.int32), 1)


@dataclass(frozen=True, slots=True)
class Work:
    """One request: its pairs, and what the reranker estimates before it has read the texts."""

    pairs: Sequence[Pair]
    estimate: int  # tokens
    at_least: int

    @classmethod
    def of(cls, request: Request) -> Work:
        """Each word is one token."""
        around = MARKERS + len(request.query.split())
        pairs = tuple(pair_of(around + len(text.split())) for text in request.documents)
        return cls(pairs, guess(request, CHARS_PER_TOKEN), guess(request, CHARS_THAT_COUNT))


@dataclass(frozen=True, slots=True)
class Arrival:
    due: float  # seconds since the traffic began
    work: Work


def guess(request: Request, chars: int) -> int:
    """Tokens, if each has so many characters, as the reranker guesses."""
    lengths = (len(request.query) + len(text) for text in request.documents)
    return sum(min(MAX_TOKENS, length // chars + 1) for length in lengths)


@cache
def pool() -> Sequence[Work]:
    return [Work.of(request) for request in islice(iter(mixture(SEED), None), POOL)]


def capacity(times: ServiceTimes) -> float:
    """Pairs a second of one replica whose queue is never empty, batched by the real scheduler."""
    scheduler, works = Scheduler[Job](), pool()
    for index, work in enumerate(works):
        scheduler.add(Job(work.pairs, index, index))
    seconds = 0.0
    while batch := scheduler.take(times.max_batch_tokens):
        seconds += times.batch([slot.pair for slot in batch])
    return sum(len(work.pairs) for work in works) / seconds


def arrivals(rate: float, seconds: float, seed: str) -> Iterator[Arrival]:
    """An open loop of so many pairs a second."""
    chance = random.Random(seed)
    times = poisson_arrivals(max(1, round(rate / MEAN_DOCUMENTS * seconds)), seconds, chance)
    return map(Arrival, times, shuffled(chance))


def shuffled(chance: random.Random) -> Iterator[Work]:
    """The pool again and again, each time in another order.

    In the same order, the replica whose turn it is would get the same request each time.
    """
    works = list(pool())
    while True:
        chance.shuffle(works)
        yield from works
