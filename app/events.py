"""What happened, for those who count and record it. Nothing here knows who listens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from app.model_card import ModelCard

CLOSE_REASONS = (
    "header_too_large",
    "header_timeout",
    "body_timeout",
    "write_stall",
    "unread",
    "evicted",
    "too_many_connections",
    "malformed_http",
    "pipelined",
    "draining",
)


@dataclass(frozen=True, slots=True)
class RequestStarted:
    pass


@dataclass(frozen=True, slots=True)
class RequestEnded:
    route: str
    outcome: str
    seconds: float


@dataclass(frozen=True, slots=True)
class RequestRefused:
    reason: str


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """By the server, and not because either side asked for it."""

    reason: str  # of CLOSE_REASONS


@dataclass(frozen=True, slots=True)
class LoopLagged:
    seconds: float


@dataclass(frozen=True, slots=True)
class ModelLoaded:
    seconds: float
    card: ModelCard


@dataclass(frozen=True, slots=True)
class BatchDone:
    pairs: int
    tokens: int
    padding: int
    seconds: float
    failed: int
    budget: int


@dataclass(frozen=True, slots=True)
class PairsWithdrawn:
    """The caller went away before they cost anything."""

    pairs: int


@dataclass(frozen=True, slots=True)
class EngineTimes:
    """Of a ranking by the model of this process, in seconds."""

    tokenize: float
    queue: float
    compute: float


@dataclass(frozen=True, slots=True)
class Ranked:
    documents: int
    truncated: int
    duplicates: int
    cached: int
    probabilities: Sequence[float]
    times: EngineTimes | None  # None where another service scored


@dataclass(frozen=True, slots=True)
class UpstreamCalled:
    upstream: str
    outcome: str
    seconds: float


@dataclass(frozen=True, slots=True)
class FallbackUsed:
    outcome: Literal["sent", "refused"]
    documents: int


Event = (
    RequestStarted
    | RequestEnded
    | RequestRefused
    | ConnectionClosed
    | LoopLagged
    | ModelLoaded
    | BatchDone
    | PairsWithdrawn
    | Ranked
    | UpstreamCalled
    | FallbackUsed
)
Observe = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The observer where there is none."""
