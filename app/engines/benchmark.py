"""How fast each backend runs a model here, and whether it ranks as the reference does."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

from app.engines import Engine, Pair
from app.engines.backend import Choice

# Kendall's tau with the reference, on average over the lists.
MIN_AGREEMENT = 0.97
# Logits that are closer than that are equal: the reference itself could not order them.
LOGIT_TIE = 1e-3
SLICE_TOKENS = (512, 1_024)
# So many lists are timed, in so many rounds; agreement is measured over all lists.
TIMED_LISTS = 1
TIMED_ROUNDS = 3

Lists = Sequence[Sequence[Pair]]


class Result(NamedTuple):
    """`streams`, and `tokens` of a slice, are those with which the engine was fastest.

    `file` is that of the model itself, if it was published with it.
    """

    engine: str
    dtype: str
    streams: int
    tokens: int
    pairs_per_second: float
    agreement: float
    file: str = ""

    @property
    def faithful(self) -> bool:
        return self.agreement >= MIN_AGREEMENT

    def choice(self, threads: int) -> Choice:
        return Choice(self.dtype, self.tokens, min(self.streams, threads), threads)


def logits(engine: Engine, lists: Lists) -> list[list[float]]:
    return [list(engine.score(pairs)) for pairs in lists]


def measure_reference(engine: Engine, lists: Lists) -> Result:
    """As it is: its slices have the size that suits it on any device."""
    speed = pace(engine, lists)
    return Result(engine.name, engine.dtype, 1, engine.slicing.tokens, speed, 1.0)


def measure(
    engines: Iterable[Engine], lists: Lists, reference: Sequence[Sequence[float]]
) -> Result:
    """Agreement over all lists, then speed at each size of slice: the fastest way counts.

    The engines differ in nothing but their streams, and are opened one after the other.
    """
    tried: list[Result] = []
    for engine in engines:
        agreement = tried[0].agreement if tried else agree(reference, logits(engine, lists))
        for size in SLICE_TOKENS:
            engine.slicing = slicing = replace(engine.slicing, tokens=size)
            speed = pace(engine, lists)
            tried.append(Result(engine.name, engine.dtype, slicing.streams, size, speed, agreement))
    return max(tried, key=lambda result: result.pairs_per_second)


def stream_counts(threads: int) -> list[int]:
    """Numbers of streams to try: all threads for one slice, down to one thread a slice."""
    return sorted({1, max(1, threads // 4), max(1, threads // 2), threads})


def pace(engine: Engine, lists: Lists) -> float:
    """Pairs a second, in the fastest round; the first call of a shape does not count."""
    pairs = [pair for pairs in lists[:TIMED_LISTS] for pair in pairs]
    engine.score(pairs)
    seconds = []
    for _ in range(TIMED_ROUNDS):
        started = time.perf_counter()
        engine.score(pairs)
        seconds.append(time.perf_counter() - started)
    return len(pairs) / min(seconds)


def agree(reference: Sequence[Sequence[float]], measured: Sequence[Sequence[float]]) -> float:
    taus = [tau(first, second) for first, second in zip(reference, measured, strict=True)]
    return sum(taus) / len(taus)


def tau(reference: Sequence[float], measured: Sequence[float]) -> float:
    """Kendall's, over the pairs of documents whose order is certain in the reference."""
    kept = swapped = 0
    for (first, a), (second, b) in combinations(zip(reference, measured, strict=True), 2):
        if abs(first - second) < LOGIT_TIE:
            continue
        if (first - second) * (a - b) > 0:
            kept += 1
        else:
            swapped += 1
    return (kept - swapped) / max(1, kept + swapped)
