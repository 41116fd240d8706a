"""Which engine is the fastest here, of those that rank as the reference does."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

from app.engines import Engine, Pair
from app.errors import LoadFailed

AGREEMENT = 0.97  # Kendall's tau with the reference, on average over the lists
TIE = 1e-3  # of a logit; closer than that, the reference itself could not tell
SIZES = (512, 1_024)  # tokens a slice
MEASURED = 1  # lists that are timed
ROUNDS = 3

Lists = Sequence[Sequence[Pair]]


class Result(NamedTuple):
    engine: str
    dtype: str
    streams: int  # and
    tokens: int  # a slice, where it was fastest
    pairs_per_second: float
    agreement: float

    @property
    def faithful(self) -> bool:
        return self.agreement >= AGREEMENT


def logits(engine: Engine, lists: Lists) -> list[list[float]]:
    return [list(engine.score(pairs)) for pairs in lists]


def enter(engines: Iterable[Engine], lists: Lists, reference: Sequence[Sequence[float]]) -> Result:
    """Fidelity over all lists, then speed at each size of slice: the fastest way counts.

    The engines differ in nothing but their streams, and are opened one after the other.
    """
    tried: list[Result] = []
    for one in engines:
        agreement = tried[0].agreement if tried else agree(reference, logits(one, lists))
        for size in SIZES:
            one.slicing = slicing = replace(one.slicing, tokens=size)
            speed = pace(one, lists)
            tried.append(Result(one.name, one.dtype, slicing.streams, size, speed, agreement))
    return max(tried, key=lambda result: result.pairs_per_second)


def ways(threads: int) -> list[int]:
    """Numbers of streams to try: all threads for one slice, down to one thread a slice."""
    return sorted({1, max(1, threads // 4), max(1, threads // 2), threads})


def pace(engine: Engine, lists: Lists) -> float:
    """Pairs a second, in the better of some rounds; the first call of a shape does not count."""
    pairs = [pair for one in lists[:MEASURED] for pair in one]
    engine.score(pairs)
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        engine.score(pairs)
        seconds.append(time.perf_counter() - started)
    return len(pairs) / min(seconds)


def agree(reference: Sequence[Sequence[float]], found: Sequence[Sequence[float]]) -> float:
    taus = [tau(one, other) for one, other in zip(reference, found, strict=True)]
    return sum(taus) / len(taus)


def tau(reference: Sequence[float], found: Sequence[float]) -> float:
    """Kendall's, over the pairs of documents that the reference tells apart."""
    kept = swapped = 0
    for (one, a), (other, b) in combinations(zip(reference, found, strict=True), 2):
        if abs(one - other) < TIE:
            continue
        if (one - other) * (a - b) > 0:
            kept += 1
        else:
            swapped += 1
    return (kept - swapped) / max(1, kept + swapped)


def winner(results: Sequence[Result]) -> Result:
    """The reference agrees with itself, but may be none of what was asked for."""
    faithful = [one for one in results if one.faithful]
    if not faithful:
        found = ", ".join(f"{one.engine} {one.dtype} {one.agreement:.3f}" for one in results)
        raise LoadFailed(
            f"none of the engines asked for ranks as torch float32 does ({found}; at least "
            f"{AGREEMENT}): leave engine and dtype on auto, or name both to have one as it is"
        )
    return max(faithful, key=lambda one: one.pairs_per_second)
