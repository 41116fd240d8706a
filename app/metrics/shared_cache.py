"""Metrics of the scores that replicas share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from app.events import (
    SHARED_CACHE_FAILURES,
    Event,
    SharedCacheFailed,
    SharedCacheRead,
    SharedCacheSwitched,
    SharedCacheWritten,
)
from app.metrics.family import Family

READ_SECONDS = (0.00025, 0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.01, 0.025, 0.1, 1.0)


class SharedCacheMetrics:
    def __init__(self, family: Family) -> None:
        self._hits = family.counter("shared_cache_hits", "Scores found in the shared cache")
        self._misses = family.counter("shared_cache_misses", "Scores not in the shared cache")
        self._writes = family.counter(
            "shared_cache_writes", "Scores written to the shared cache for other replicas"
        )
        self._seconds = family.histogram(
            "shared_cache_seconds", "Time of a read of the shared cache in time", READ_SECONDS
        )
        self._errors = family.counter(
            "shared_cache_errors",
            "Reads without an answer (timeout, failed, busy, down), values not used "
            "(invalid_value), and writes lost (not_written, queue_full)",
            ("reason",),
            SHARED_CACHE_FAILURES,
        )
        self._up = family.gauge(
            "shared_cache_up", "1 while the shared cache is used; 0: none is configured, or down"
        )

    @property
    def handlers(self) -> Mapping[type[Event], Callable[[Any], None]]:
        return {
            SharedCacheRead: self._on_read,
            SharedCacheWritten: lambda event: self._writes.inc(event.scores),
            SharedCacheFailed: lambda event: self._errors.labels(event.reason).inc(event.count),
            SharedCacheSwitched: lambda event: self._up.set(event.up),
        }

    def _on_read(self, event: SharedCacheRead) -> None:
        self._hits.inc(event.hits)
        self._misses.inc(event.misses)
        self._seconds.observe(event.seconds)
