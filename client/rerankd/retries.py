"""Which failures are tried again, and after how many seconds."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from rerankd.errors import ConnectionFailed, InvalidInput, RerankdError, ServiceError

BUSY_STATUSES = frozenset({429, 503})
# A balancer that has no service to pass the request to. The service's own 502 has a type.
BALANCER_STATUS = 502
DIGITS = re.compile(r"[0-9]+(?:\.[0-9]*)?")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Tried again are 429, 503 and failed connections, before any part of an answer.

    Without a hint the wait starts at about `first_wait` seconds and doubles, up to `max_wait`. With
    `Retry-After` or `retry-after-ms` it is never shorter than the hint, and `spread` longer at
    most, so that callers who were refused together do not come back together. A hint longer than
    `max_wait` is an error at once; `retry_after` of the error has it.
    """

    retries: int = 3
    first_wait: float = 0.25
    max_wait: float = 30.0
    spread: float = 0.25

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise InvalidInput(f"retries: {self.retries} is less than 0")
        if not 0 < self.first_wait <= self.max_wait:
            raise InvalidInput("first_wait must be more than 0 and at most max_wait")
        if self.spread < 0:
            raise InvalidInput(f"spread: {self.spread} is less than 0")

    def wait_after(
        self,
        error: RerankdError,
        attempt: int,
        *,
        repeatable: bool,
        chance: Callable[[], float] = random.random,
    ) -> float | None:
        """Seconds to wait after attempt number `attempt`, from 0; None: do not try again."""
        if attempt >= self.retries or not is_passing(error, repeatable=repeatable):
            return None
        hint = error.retry_after if isinstance(error, ServiceError) else None
        if hint is None:
            wait = min(self.max_wait, self.first_wait * 2.0 ** min(attempt, 60))
            return wait * (0.5 + 0.5 * chance())
        if hint > self.max_wait:
            return None
        return hint + self.spread * max(hint, self.first_wait) * chance()


def is_passing(error: RerankdError, *, repeatable: bool) -> bool:
    """Whether the failure may pass. `repeatable`: the request may arrive twice."""
    if isinstance(error, ServiceError):
        if error.status in BUSY_STATUSES:
            return True
        return repeatable and error.status == BALANCER_STATUS and error.type is None
    if isinstance(error, NeverSent):
        return True
    return repeatable and isinstance(error, ConnectionFailed)


class NeverSent(ConnectionFailed):
    """No connection could be opened, so the service has not seen the request."""


def retry_hint(headers: Mapping[str, str]) -> float | None:
    """The seconds that the headers of a refusal name."""
    try:
        if "retry-after-ms" in headers:
            seconds = float(headers["retry-after-ms"]) / 1000
        elif "retry-after" in headers:
            seconds = seconds_of(headers["retry-after"].strip())
        else:
            return None
    except (ValueError, OverflowError):  # of a date too, whose year or offset may be any number
        return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def seconds_of(value: str) -> float:
    """Seconds, or the time until a date; a date without an offset is in UTC."""
    if DIGITS.fullmatch(value):
        return float(value)
    date = parsedate_to_datetime(value)
    return ((date if date.tzinfo else date.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds()
