"""What hours of samples say: does anything grow, does anything slow down?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MEBIBYTE = 2**20
MAX_GROWTH = 1.0  # MiB an hour
MAX_SLOWER = 1.1  # the p99 of the last part against that of the first
CONFIDENCE = 0.95
DRAWS = 400
BLOCK_SECONDS = 60.0
# Caches fill and allocators settle in the first hour, or the first half of a shorter run.
SETTLING = 0.5
MAX_SETTLING = 3600.0
PART = 0.2  # the share of the run that is its first part, and its last
MAX_EXTRA = 4  # descriptors and threads: a scrape or a probe may be under way


@dataclass(frozen=True)
class Sample:
    seconds: float  # since the traffic began
    memory: int  # bytes, resident
    descriptors: int
    threads: int


@dataclass(frozen=True)
class Latency:
    ended: float
    seconds: float


@dataclass(frozen=True)
class Trend:
    hours: float
    growth: float  # MiB an hour
    growth_error: float  # one standard error of it
    memory: tuple[float, float]  # MiB, after settling and at the end
    descriptors: tuple[int, int]
    threads: tuple[int, int]
    p99: tuple[float, float]  # seconds, of the first part and of the last
    slower: float  # their ratio: at least this, with confidence

    def problems(self) -> list[str]:
        """Growth counts where it is more than its own uncertainty."""
        problems = []
        if self.growth - 2 * self.growth_error > MAX_GROWTH:
            problems.append(f"memory grows by {self.growth:.1f} MiB an hour")
        if self.descriptors[1] > self.descriptors[0] + MAX_EXTRA:
            problems.append(f"descriptors grew from {self.descriptors[0]} to {self.descriptors[1]}")
        if self.threads[1] > self.threads[0] + MAX_EXTRA:
            problems.append(f"threads grew from {self.threads[0]} to {self.threads[1]}")
        if self.slower > MAX_SLOWER:
            problems.append(f"the p99 grew from {self.p99[0]:.3f} s to {self.p99[1]:.3f} s")
        return problems

    def __str__(self) -> str:
        return (
            f"{self.hours:.2f} h, memory {self.memory[0]:.0f} -> {self.memory[1]:.0f} MiB "
            f"({self.growth:+.2f} ± {self.growth_error:.2f} MiB/h after settling), "
            f"descriptors {self.descriptors[0]} -> {self.descriptors[1]}, "
            f"threads {self.threads[0]} -> {self.threads[1]}, "
            f"p99 {self.p99[0] * 1000:.0f} -> {self.p99[1] * 1000:.0f} ms "
            f"(x {self.slower:.2f} or more)"
        )


def trend_of(samples: Sequence[Sample], latencies: Sequence[Latency]) -> Trend:
    end = samples[-1].seconds
    settled = [sample for sample in samples if sample.seconds >= min(end * SETTLING, MAX_SETTLING)]
    growth, error = slope(
        [sample.seconds / 3600 for sample in settled],
        [sample.memory / MEBIBYTE for sample in settled],
    )
    first = [latency for latency in latencies if latency.ended <= end * PART]
    last = [latency for latency in latencies if latency.ended >= end * (1 - PART)]
    return Trend(
        end / 3600,
        growth,
        error,
        (settled[0].memory / MEBIBYTE, settled[-1].memory / MEBIBYTE),
        (max(sample.descriptors for sample in part(settled)), settled[-1].descriptors),
        (max(sample.threads for sample in part(settled)), settled[-1].threads),
        (p99([latency.seconds for latency in first]), p99([latency.seconds for latency in last])),
        slower(first, last),
    )


def part(samples: Sequence[Sample]) -> Sequence[Sample]:
    return samples[: max(1, int(len(samples) * PART))]


def p99(seconds: Sequence[float]) -> float:
    return float(np.percentile(seconds, 99)) if seconds else 0.0


def slower(first: Sequence[Latency], last: Sequence[Latency]) -> float:
    """By the bootstrap. Minutes are drawn, because the requests of a minute share its load."""
    if not first or not last:
        return 0.0
    chance, before, after = np.random.default_rng(1), by_minute(first), by_minute(last)
    ratios = [drawn_p99(after, chance) / drawn_p99(before, chance) for _ in range(DRAWS)]
    return float(np.quantile(ratios, 1 - CONFIDENCE))


def by_minute(latencies: Sequence[Latency]) -> list[list[float]]:
    minutes: dict[int, list[float]] = {}
    for latency in latencies:
        minutes.setdefault(int(latency.ended // BLOCK_SECONDS), []).append(latency.seconds)
    return list(minutes.values())


def drawn_p99(minutes: Sequence[Sequence[float]], chance: np.random.Generator) -> float:
    drawn = chance.integers(len(minutes), size=len(minutes))
    return p99([seconds for minute in drawn for seconds in minutes[minute]])


def slope(times: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """By least squares, with its standard error."""
    if len(times) < 3:
        return 0.0, 0.0
    x, y = np.asarray(times), np.asarray(values)
    spread = float(((x - x.mean()) ** 2).sum())
    rate = float(((x - x.mean()) * (y - y.mean())).sum() / spread)
    rest = y - y.mean() - rate * (x - x.mean())
    return rate, float(np.sqrt((rest**2).sum() / (len(x) - 2) / spread))
