"""Calling other services: what may be tried again, when, and what it is called when it fails.

Only what comes before an answer is retried: a connection that fails, 408, 429 and 5xx. A hint
(`Retry-After`, `retry-after-ms`) is honoured; without one the pause grows, with jitter. One that
reaches beyond the deadline is not waited for.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from time import time
from typing import TypeVar

import httpx
import stamina

from app.errors import UpstreamFailed, UpstreamTimeout

Answer = TypeVar("Answer")

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
# Its default observers would write the address, and with it perhaps a key, into the log.
stamina.instrumentation.set_on_retry_hooks([])

DIGITS = re.compile(r"[0-9]+(?:\.[0-9]*)?")
MAX_HINT_SECONDS = 86_400.0  # what is passed on to callers; nobody means a longer one
LONGEST_HINT = 60.0  # seconds; a service that asks for more is taken as down


def retry_hint(response: httpx.Response) -> float | None:
    """How long the service asks to be left alone, in seconds; a day at most."""
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


def worth_another_try(error: Exception, patience: float) -> bool | float:
    """Whether to try again, or after how many seconds."""
    if isinstance(error, httpx.HTTPStatusError):
        if error.response.status_code not in RETRIED:
            return False
        hint = retry_hint(error.response)
        if hint is None:
            return True
        return hint if hint <= patience else False
    return isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.RemoteProtocolError)


def in_time(again: bool | float, deadline: float | None) -> bool | float:
    """A pause that would end after the deadline (in the loop's time) is no use."""
    if deadline is None or isinstance(again, bool):
        return again
    return again if asyncio.get_running_loop().time() + again < deadline else False


async def call(
    name: str,
    attempt: Callable[[], Awaitable[Answer]],
    *,
    attempts: int,
    deadline: float | None = None,
    patience: float = LONGEST_HINT,
) -> Answer:
    """The answer of `attempt`, tried up to `attempts` times, or one error that names the service.

    The time limit is the caller's own: `asyncio.timeout` around this call ends it at any point. A
    service that asks to be left alone for longer than `patience` is not waited for.
    """

    def again(error: Exception) -> bool | float:
        return in_time(worth_another_try(error, patience), deadline)

    try:
        async for tried in stamina.retry_context(
            again, attempts=attempts, timeout=None, wait_initial=0.2, wait_max=10.0
        ):
            with tried:
                return await attempt()
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
    raise AssertionError("the loop above returns or raises")
