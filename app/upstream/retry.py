"""Calls to other services: what may be tried again, when, and which error a failure becomes.

Only what comes before an answer is retried: a connection that fails, and the statuses of the
policy. A hint (`Retry-After`, `retry-after-ms`) is honoured; without one the wait grows, with
jitter. A wait that would end after the deadline is not begun.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from time import time
from typing import TypeVar

import httpx
import stamina

from app.errors import UpstreamFailed, UpstreamTimeout

Answer = TypeVar("Answer")

PASSING_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
# Its default observers would write the address, and with it perhaps a key, into the log.
stamina.instrumentation.set_on_retry_hooks([])

DIGITS = re.compile(r"[0-9]+(?:\.[0-9]*)?")
# A hint is passed on to callers; nobody means a longer one.
MAX_HINT_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a call is tried, after which failures, and with which waits in seconds.

    With `broken_connections`, a call whose connection broke after it was sent is tried again, which
    is for calls that may be done twice. A service whose hint is longer than `max_hint` is taken as
    down, or, with `shorten_hints`, is tried again after `max_hint`.
    """

    attempts: int
    statuses: AbstractSet[int] = PASSING_STATUSES
    connections: bool = True
    broken_connections: bool = False
    first_wait: float = 0.2
    max_wait: float = 10.0
    jitter: float = 1.0
    max_hint: float = 60.0
    shorten_hints: bool = False

    def wait_after(self, error: Exception) -> bool | float:
        """Whether to try again, or after how many seconds."""
        if not isinstance(error, httpx.HTTPStatusError):
            if self.broken_connections and isinstance(error, httpx.NetworkError):
                return True
            return self.connections and isinstance(
                error, httpx.ConnectError | httpx.ConnectTimeout | httpx.RemoteProtocolError
            )
        if error.response.status_code not in self.statuses:
            return False
        hint = retry_hint(error.response)
        if hint is None:
            return True
        if hint > self.max_hint:
            return self.max_hint if self.shorten_hints else False
        return hint


def retry_hint(response: httpx.Response) -> float | None:
    """The seconds after which the service wants to be called again; a day at most."""
    headers = response.headers
    try:
        if "retry-after-ms" in headers:
            seconds = float(headers["retry-after-ms"]) / 1000
        elif "retry-after" in headers:
            seconds = seconds_of(headers["retry-after"].strip())
        else:
            return None
    except (ValueError, OverflowError):  # of a date too, whose year or offset may be any number
        return None
    if math.isnan(seconds) or seconds == math.inf:
        return None
    return min(max(seconds, 0.0), MAX_HINT_SECONDS)


def seconds_of(value: str) -> float:
    """Seconds, or the time until a date; one without an offset is in UTC, as HTTP's dates are."""
    if DIGITS.fullmatch(value):
        return float(value)
    date = parsedate_to_datetime(value)
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - time()


def in_time(wait: bool | float, deadline: float | None) -> bool | float:
    """`deadline` is in the loop's time; a wait that would end after it is of no use."""
    if deadline is None or wait is False:
        return wait
    seconds = 0.0 if wait is True else wait
    return wait if asyncio.get_running_loop().time() + seconds < deadline else False


async def retried(
    attempt: Callable[[], Awaitable[Answer]],
    policy: RetryPolicy,
    deadline: float | None = None,
) -> Answer:
    """The answer of `attempt`, tried as the policy says, or the error of the last try.

    The time limit is the caller's own: `asyncio.timeout` around this call ends it at any point.
    """
    async for tried in stamina.retry_context(
        lambda error: in_time(policy.wait_after(error), deadline),
        attempts=policy.attempts,
        timeout=None,
        wait_initial=policy.first_wait,
        wait_max=policy.max_wait,
        wait_jitter=policy.jitter,
    ):
        with tried:
            return await attempt()
    raise AssertionError("the loop above returns or raises")


async def call(
    name: str,
    attempt: Callable[[], Awaitable[Answer]],
    policy: RetryPolicy,
    *,
    deadline: float | None = None,
) -> Answer:
    """The same, with one error that names the service."""
    try:
        return await retried(attempt, policy, deadline)
    except httpx.TimeoutException as error:
        raise UpstreamTimeout(f"{name} did not answer in time", upstream=name) from error
    except httpx.HTTPStatusError as error:
        status = error.response.status_code
        raise UpstreamFailed(
            f"{name} answered {status}",
            upstream=name,
            status=status,
            retry_after=retry_hint(error.response),
        ) from error
    except httpx.HTTPError as error:
        raise UpstreamFailed(f"{name} cannot be reached", upstream=name) from error
