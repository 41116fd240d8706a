"""Calls to other rerankers, as the model or as its fallback."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from app.events import Event, FallbackUsed, UpstreamCalled
from app.metrics.family import SECONDS, Family

UPSTREAM_SECONDS = (*SECONDS, 30.0, 60.0)


class RemoteMetrics:
    def __init__(self, family: Family) -> None:
        self._upstream = family.histogram(
            "upstream_seconds",
            "Time of a call to a remote service, all attempts included",
            UPSTREAM_SECONDS,
            ("upstream", "outcome"),
        )
        self._fallback = family.counter(
            "fallback_documents",
            "Documents for the fallback: sent, or refused because of the daily limit",
            ("outcome",),
            ("sent", "refused"),
        )
        self.fallback_left = family.gauge(
            "fallback_documents_left",
            "Documents that may still be sent to the fallback today; 0 also if there is no limit",
        )

    @property
    def handlers(self) -> Mapping[type[Event], Callable[[Any], None]]:
        return {
            UpstreamCalled: self._on_upstream_called,
            FallbackUsed: lambda event: self._fallback.labels(event.outcome).inc(event.documents),
        }

    def _on_upstream_called(self, event: UpstreamCalled) -> None:
        self._upstream.labels(event.upstream, event.outcome).observe(event.seconds)
