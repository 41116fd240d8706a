"""What a call raises.

RerankdError
├── InvalidInput            the arguments cannot be sent (also a ValueError)
├── ServiceError            the service refused, or failed: `type`, `field`, `limit`, …
│   ├── InvalidRequest      400, 413, 415, 421, 422, 431
│   ├── Unauthorized        401, 403
│   ├── NotFound            404, 405: no store, no feedback, no such path
│   ├── Overloaded          429
│   ├── Unavailable         503: loading, draining, the engine failed
│   └── ServiceTimeout      408, 504 (also a TimeoutError)
├── ClientTimeout           the time limit of the call passed (also a TimeoutError)
├── ConnectionFailed        no connection, or it broke (also a ConnectionError)
├── UnreadableResponse      the response is not one of rerankd
└── IncomparableScores      parts of a long list were scored by different models
"""

from __future__ import annotations

from dataclasses import dataclass


class RerankdError(Exception):
    """Any failure of a call."""


class InvalidInput(RerankdError, ValueError):
    """Arguments that cannot be sent; nothing was sent."""


class ClientTimeout(RerankdError, TimeoutError):
    """The time limit of the call passed before the answer was complete."""


class ConnectionFailed(RerankdError, ConnectionError):
    """The service cannot be reached, or the connection broke."""


class UnreadableResponse(RerankdError):
    """The response is not one of rerankd: perhaps the address is another service's."""


class IncomparableScores(RerankdError):
    """The parts of a list were scored by different models, also when they were sent again."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An error response. `type` is stable; None if something in front of the service answered."""

    status: int
    type: str | None
    detail: str
    field: str | None = None
    limit: int | None = None
    request_id: str | None = None
    retry_after: float | None = None


class ServiceError(RerankdError):
    """The service refused the request, or failed."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        problem = self.problem
        kind = f"{problem.status} {problem.type}" if problem.type else str(problem.status)
        request = f" (request {problem.request_id})" if problem.request_id else ""
        return f"{kind}: {problem.detail}{request}"

    @property
    def status(self) -> int:
        return self.problem.status

    @property
    def type(self) -> str | None:
        """The stable name of the error, as in the service's table of errors."""
        return self.problem.type

    @property
    def detail(self) -> str:
        return self.problem.detail

    @property
    def field(self) -> str | None:
        """The field of the request that caused the error."""
        return self.problem.field

    @property
    def limit(self) -> int | None:
        """The limit that was exceeded."""
        return self.problem.limit

    @property
    def request_id(self) -> str | None:
        """The id under which the log of the service has the request."""
        return self.problem.request_id

    @property
    def retry_after(self) -> float | None:
        """Seconds after which the service wants to be called again."""
        return self.problem.retry_after


class InvalidRequest(ServiceError):
    """The request cannot succeed as it is."""


class Unauthorized(ServiceError):
    """The API key is missing, wrong, or not allowed to do this."""


class NotFound(ServiceError):
    """The service has no such path, store or answer."""


class Overloaded(ServiceError):
    """The queue is full: try again after `retry_after` seconds."""


class Unavailable(ServiceError):
    """The service is loading, is shutting down, or its engine failed."""


class ServiceTimeout(ServiceError, TimeoutError):
    """The service could not answer within the time limit."""


CLASSES: dict[int, type[ServiceError]] = {
    **dict.fromkeys((400, 413, 415, 421, 422, 431), InvalidRequest),
    **dict.fromkeys((401, 403), Unauthorized),
    **dict.fromkeys((404, 405), NotFound),
    429: Overloaded,
    503: Unavailable,
    **dict.fromkeys((408, 504), ServiceTimeout),
}


def error_of(problem: Problem) -> ServiceError:
    """The error of the class for this status."""
    return CLASSES.get(problem.status, ServiceError)(problem)
