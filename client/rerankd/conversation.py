"""The logic of a call without its input and output.

A conversation is a generator. It yields what is to be done, `Send` or `Wait`, and is resumed with
the response or the error. `driving.py` does these things, with and without asyncio, so that both
clients have the same logic.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import httpx

from rerankd.errors import (
    ClientTimeout,
    ConnectionFailed,
    InvalidInput,
    Problem,
    RerankdError,
    ServiceError,
    UnreadableResponse,
    error_of,
)
from rerankd.fields import MAX_SHOWN, Fields, fields_of
from rerankd.retries import NeverSent, RetryPolicy, retry_hint

Result = TypeVar("Result")
# Share of the remaining time that is left for the way back, so that the service answers in time
# with the reason instead of being cut off.
WAY_BACK = 0.05


@dataclass(frozen=True, slots=True)
class Call:
    """`repeatable`: nothing is lost if the service gets it twice. `streamed`: do not read a good
    response. `None` as a body makes it a GET."""

    path: str
    body: Mapping[str, Any] | None = None
    repeatable: bool = True
    streamed: bool = False
    timed: bool = True

    def write(self, seconds: float) -> bytes | None:
        """The body, with the time that is left."""
        if self.body is None:
            return None
        body = dict(self.body)
        if self.timed and math.isfinite(seconds):
            body["timeout_ms"] = max(1, math.floor(1000 * seconds * (1 - WAY_BACK)))
        try:
            text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            return text.encode()
        except UnicodeEncodeError as error:
            raise InvalidInput(
                "a text holds half of a surrogate pair, so it is not UTF-8"
            ) from error
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"an argument cannot be written as JSON: {error}") from error


@dataclass(frozen=True, slots=True)
class Send:
    """Send the request; give back the response, or throw the error of httpx or TimeoutError."""

    path: str
    content: bytes | None
    seconds: float
    streamed: bool


@dataclass(frozen=True, slots=True)
class Wait:
    seconds: float


Step: TypeAlias = Send | Wait
Conversation: TypeAlias = Generator[Step, httpx.Response | None, Result]


class Deadline:
    """The time limit of a whole call, with its retries and parts."""

    def __init__(self, seconds: float, now: Callable[[], float]) -> None:
        if not seconds > 0:
            raise InvalidInput(f"timeout: {seconds} is not more than 0 seconds")
        self.seconds = seconds
        self._now = now
        self._at = now() + seconds

    @property
    def remaining(self) -> float:
        return self._at - self._now()

    def exceeded(self) -> ClientTimeout:
        return ClientTimeout(f"no complete answer within {self.seconds:g} s")


def ask(call: Call, policy: RetryPolicy, deadline: Deadline) -> Conversation[httpx.Response]:
    """The good response; otherwise the error of the last try."""
    for attempt in itertools.count():
        remaining = deadline.remaining
        if remaining <= 0:
            raise deadline.exceeded()
        cause: Exception | None = None
        try:
            step = Send(call.path, call.write(remaining), remaining, call.streamed)
            response = yield step
            if response is None:
                raise TypeError("a Send is answered with a response")
            if response.is_success:
                return response
            failure: RerankdError = error_of(problem_of(response))
        except (httpx.HTTPError, TimeoutError) as error:
            cause, failure = error, failure_of(error, deadline)
        wait = policy.wait_after(failure, attempt, repeatable=call.repeatable)
        if wait is None or wait >= deadline.remaining:
            raise failure from cause
        yield Wait(wait)
    raise AssertionError("the loop above returns or raises")


def failure_of(error: Exception, deadline: Deadline) -> RerankdError:
    reason = str(error) or type(error).__name__
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return NeverSent(f"the service cannot be reached: {reason}")
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return deadline.exceeded()
    if isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError | httpx.ProxyError):
        return ConnectionFailed(f"the connection broke: {reason}")
    return UnreadableResponse(f"the response cannot be read: {reason}")


def problem_of(response: httpx.Response) -> Problem:
    """The problem of a response, or what a balancer in front of the service wrote."""
    try:
        fields = fields_of(response.content)
    except UnreadableResponse:
        text = response.text[:MAX_SHOWN].strip()
        fields = Fields({"detail": text or response.reason_phrase})
    return read_problem(fields, response.status_code, response.headers)


def read_problem(fields: Fields, status: int, headers: Mapping[str, str]) -> Problem:
    def text(name: str) -> str | None:
        value = fields.values.get(name)
        return value if isinstance(value, str) and value else None

    limit = fields.values.get("limit")
    return Problem(
        status=status,
        type=text("type"),
        detail=text("detail") or text("message") or f"the service answered {status}",
        field=text("field"),
        limit=limit if isinstance(limit, int) and not isinstance(limit, bool) else None,
        request_id=text("request_id") or headers.get("x-request-id"),
        retry_after=retry_hint(headers),
    )


def stream_error(fields: Fields, headers: Mapping[str, str]) -> ServiceError:
    """The error of an answer that had already begun; its status is in the event."""
    return error_of(read_problem(fields, fields.whole("status"), headers))
