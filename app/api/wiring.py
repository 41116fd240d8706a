"""What the routes of one application use, and how they read it."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import FastAPI

from app.api.dialects.registry import Registry
from app.api.exposure import Exposure
from app.api.limits import RequestLimits
from app.events import Observe
from app.metrics import Metrics
from app.service import Service


@dataclass(frozen=True, slots=True)
class Wiring:
    service: Service
    metrics: Metrics
    observe: Observe
    limits: RequestLimits
    dialects: Registry
    exposure: Exposure
    mark: str  # of this service, in the Via header of the requests that it forwards


def wiring_of(app: FastAPI) -> Wiring:
    """Nothing else in `app/` reads `app.state`, which has no types."""
    wiring: Wiring = app.state.wiring
    return wiring
