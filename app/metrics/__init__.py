"""Prometheus metrics: counts events and reads gauges at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder

from app.events import Event
from app.metrics.answers import AnswerMetrics
from app.metrics.family import Family, WatchedTotal
from app.metrics.ranking import RankingMetrics
from app.metrics.remote import RemoteMetrics
from app.metrics.serving import ServingMetrics
from app.metrics.shared_cache import SharedCacheMetrics


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._family = Family(self.registry)
        self._serving = ServingMetrics(self._family)
        self._remote = RemoteMetrics(self._family)
        self._answers = AnswerMetrics(self._family)
        self._handlers: Mapping[type[Event], Callable[[Any], None]] = {
            **self._serving.handlers,
            **RankingMetrics(self._family).handlers,
            **self._remote.handlers,
            **self._answers.handlers,
            **SharedCacheMetrics(self._family).handlers,
        }

    def observe(self, event: Event) -> None:
        self._handlers[type(event)](event)

    def watch(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """A gauge whose value is read at each scrape."""
        self._family.gauge(name, help_text).set_function(read)

    def watch_total(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """A counter that another part keeps, and that is read at each scrape."""
        self.registry.register(WatchedTotal(f"rerankd_{name}", help_text, read))

    def watch_connections(self, opened: Callable[[], int], unread: Callable[[], int]) -> None:
        self._serving.connections.set_function(opened)
        self._serving.unread.set_function(unread)

    def watch_fallback(self, left: Callable[[], int]) -> None:
        self._remote.fallback_left.set_function(left)

    def watch_llms(
        self,
        budget_left: Callable[[], int],
        waiting: Callable[[], int],
        breakers_open: Mapping[str, Callable[[], bool]],
    ) -> None:
        self._answers.budget.set_function(budget_left)
        self._answers.waiting.set_function(waiting)
        for llm, is_open in breakers_open.items():
            self._answers.breakers.labels(llm).set_function(is_open)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """The scrape, in the format that the scraper requests, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
