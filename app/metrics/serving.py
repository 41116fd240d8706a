"""Metrics of requests, connections, the event loop, the model and remote services."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import Info

from app import __version__
from app.events import (
    CLOSE_REASONS,
    ConnectionClosed,
    Event,
    LoopLagged,
    ModelLoaded,
    RequestEnded,
    RequestRefused,
    RequestStarted,
)
from app.metrics.family import SECONDS, Family

BUILD = ("model", "architecture", "engine", "device", "dtype")
REASONS = (
    "overloaded",
    "deadline",
    "loading",
    "engine_failed",
    "draining",
    "upstream_busy",
    "upstream_timeout",
    "fallback_spent",
)


class ServingMetrics:
    def __init__(self, family: Family) -> None:
        self._build: Info | None = None  # until a model is loaded
        self._family = family
        self._requests = family.histogram(
            "request_seconds",
            "Time from the end of the request headers to the end of the response",
            SECONDS,
            ("route", "outcome"),
        )
        self._in_flight = family.gauge("requests_in_flight", "Requests in progress")
        self._refusals = family.counter("refusals", "Requests refused", ("reason",), REASONS)
        self._loop_lag = family.histogram(
            "loop_lag_seconds",
            "Delay of a task that wakes up: how long the event loop was blocked",
            SECONDS,
        )
        self._load_seconds = family.gauge(
            "model_load_seconds", "Time to load and warm up the model"
        )
        self._closed = family.counter(
            "connections_closed",
            "Connections closed because they exceeded a limit",
            ("reason",),
            CLOSE_REASONS,
        )
        self.connections = family.gauge("connections", "Open connections")
        self.unread = family.gauge(
            "unread_answer_bytes", "Bytes of responses that callers have not read yet"
        )

    @property
    def handlers(self) -> Mapping[type[Event], Callable[[Any], None]]:
        return {
            RequestStarted: lambda _: self._in_flight.inc(),
            RequestEnded: self._on_request_ended,
            RequestRefused: lambda event: self._refusals.labels(event.reason).inc(),
            ConnectionClosed: lambda event: self._closed.labels(event.reason).inc(),
            LoopLagged: lambda event: self._loop_lag.observe(event.seconds),
            ModelLoaded: self._on_model_loaded,
        }

    def _on_request_ended(self, event: RequestEnded) -> None:
        self._in_flight.dec()
        self._requests.labels(event.route, event.outcome).observe(event.seconds)

    def _on_model_loaded(self, event: ModelLoaded) -> None:
        self._load_seconds.set(event.seconds)
        labels = {name: str(getattr(event.card, name)) for name in BUILD}
        if self._build is None:
            text = "Version, model and engine of the service"
            self._build = self._family.info("build", text)
        self._build.info(labels | {"version": __version__})
