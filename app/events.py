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
SHARED_CACHE_FAILURES = (
    "timeout",
    "failed",
    "busy",
    "down",
    "invalid_value",
    "not_written",
    "queue_full",
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
class Ranked:
    """`tokenize`, `queue` and `compute` are seconds, 0 if another service scored."""

    documents: int
    truncated: int
    duplicates: int
    cached: int
    probabilities: Sequence[float]
    by_another_service: bool = False
    tokenize: float = 0.0
    queue: float = 0.0
    compute: float = 0.0


@dataclass(frozen=True, slots=True)
class TopScored:
    """The best probability of a ranking that a caller got, and its distance to the second best."""

    top: float
    gap: float | None = None  # None if only one document has a score


@dataclass(frozen=True, slots=True)
class UpstreamCalled:
    upstream: str
    outcome: str
    seconds: float


@dataclass(frozen=True, slots=True)
class FallbackUsed:
    outcome: Literal["sent", "refused"]
    documents: int


@dataclass(frozen=True, slots=True)
class StoreSearched:
    """Or an embedder called. `outcome`: ok, failed or timeout."""

    store: str
    outcome: str
    seconds: float


@dataclass(frozen=True, slots=True)
class LLMCalled:
    """`outcome`: ok, failed, timeout, passed_over or client_gone."""

    llm: str
    outcome: str
    seconds: float = 0.0
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class LLMCrowded:
    """No language model was called: too many questions wait."""


@dataclass(frozen=True, slots=True)
class AnswerStageDone:
    """`outcome`: ok, failed or client_gone."""

    stage: str
    outcome: str
    seconds: float


@dataclass(frozen=True, slots=True)
class AnswerGiven:
    """`invented` counts citations without a source, of an answer that is not from the cache."""

    outcome: str
    cached: bool
    invented: int


@dataclass(frozen=True, slots=True)
class FeedbackGiven:
    useful: Literal["up", "down"]


@dataclass(frozen=True, slots=True)
class SharedCacheRead:
    """The server answered in time; `hits` and `misses` are texts."""

    hits: int
    misses: int
    seconds: float


@dataclass(frozen=True, slots=True)
class SharedCacheWritten:
    scores: int


@dataclass(frozen=True, slots=True)
class SharedCacheFailed:
    """Nothing was read or written, or values of the server were not used."""

    reason: str  # of SHARED_CACHE_FAILURES
    count: int = 1


@dataclass(frozen=True, slots=True)
class SharedCacheSwitched:
    up: bool


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
    | TopScored
    | UpstreamCalled
    | FallbackUsed
    | StoreSearched
    | LLMCalled
    | LLMCrowded
    | AnswerStageDone
    | AnswerGiven
    | FeedbackGiven
    | SharedCacheRead
    | SharedCacheWritten
    | SharedCacheFailed
    | SharedCacheSwitched
)
Observe = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The observer where there is none."""
