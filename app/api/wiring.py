"""What the routes of one application use, and how they read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastapi import FastAPI

from app.api.dialects.registry import Registry
from app.api.exposure import Exposure
from app.api.limits import RequestLimits
from app.events import Observe
from app.metrics import Metrics
from app.service import Service
from app.tracing.tracer import Tracer


@dataclass(frozen=True, slots=True)
class Wiring:
    service: Service
    metrics: Metrics
    observe: Observe
    tracer: Tracer
    limits: RequestLimits
    dialects: Registry
    exposure: Exposure
    has_store: Callable[[], bool]  # whether `/answer` has something to search
    mark: str  # of this service, in the Via header of the requests that it forwards


def wiring_of(app: FastAPI) -> Wiring:
    """Nothing else in `app/` reads `app.state`, which has no types."""
    wiring: Wiring = app.state.wiring
    return wiring
