"""How metrics are created: one prefix, one registry, and two kinds that the library lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LONG_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
TOKENS = (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
# Many models give most of their scores close to 0 or 1.
SCORES = (0.001, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)
TENTHS = 10


class ScoreHistogram(Collector):
    """All scores in responses, in tenths of probability: a change of its shape is drift.

    The library's histogram takes one value per call, but a request can give a thousand.
    """

    def __init__(self) -> None:
        self._counts = [0] * TENTHS
        self._sum = 0.0

    def observe(self, scores: Iterable[float]) -> None:
        for score in scores:
            self._counts[min(TENTHS - 1, int(score * TENTHS))] += 1
            self._sum += score

    def collect(self) -> Iterable[Metric]:
        totals = list(accumulate(self._counts))
        edges = [f"{(tenth + 1) / TENTHS:.1f}" for tenth in range(TENTHS)]
        buckets = [*zip(edges, totals, strict=True), ("+Inf", totals[-1])]
        yield HistogramMetricFamily(
            "rerankd_score",
            "Scores in responses, as probabilities",
            buckets=buckets,
            sum_value=self._sum,
        )


class WatchedTotal(Collector):
    def __init__(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        self._name, self._help_text, self._read = name, help_text, read

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily(self._name, self._help_text, value=self._read())


class Family:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry

    def histogram(
        self, name: str, text: str, buckets: Sequence[float], labels: Sequence[str] = ()
    ) -> Histogram:
        return Histogram(f"rerankd_{name}", text, labels, buckets=buckets, registry=self.registry)

    def counter(
        self, name: str, text: str, labels: Sequence[str] = (), values: Iterable[str] = ()
    ) -> Counter:
        """The `values` of its label start at 0, so that a rate can be computed."""
        counter = Counter(f"rerankd_{name}", text, labels, registry=self.registry)
        for value in values:
            counter.labels(value)
        return counter

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        return Gauge(f"rerankd_{name}", text, labels, registry=self.registry)

    def info(self, name: str, text: str) -> Info:
        return Info(f"rerankd_{name}", text, registry=self.registry)
