"""The errors of the service, as one tree. This module does not depend on HTTP.

The HTTP API and `/answer` define more errors under the same root.

ServiceError
├── InvalidRequest        the request is wrong; names the field
│   ├── MalformedRequest  the body is not JSON
│   ├── Empty             no documents; some dialects have a special answer for this
│   └── TooLong           a document or an instruction does not fit and may not be cut
├── Refused               not possible now; nothing has changed, retry after a delay
│   ├── QueueFull
│   ├── Loading
│   ├── EngineFailed
│   └── Draining
├── DeadlineExceeded      the caller's time limit passed, or is certain to pass
├── ScoringFailed         the engine could not score a single document
├── UpstreamFailed        another service refused, failed or sent an invalid answer
│   ├── UpstreamBusy      it accepts no more requests for now
│   ├── UpstreamTimeout   it did not answer in time
│   ├── LoopDetected      it called this service, or one that called this service
│   └── NoStore           there is no store to search
└── LoadFailed            the model cannot be served; the process ends
    ├── InvalidSetting    a setting contradicts another, the model or this machine
    └── PackageMissing    a package is needed that is not installed; names how to install it
"""

from __future__ import annotations

from typing import Any


class ServiceError(Exception):
    """Base of all errors whose text is sent to the caller, also from another process."""

    def __reduce__(self) -> tuple[Any, ...]:
        """An exception is unpickled by its class and text alone, but some have more arguments."""
        return restored, (type(self), self.args, self.__dict__)


def restored(kind: type[ServiceError], args: tuple[Any, ...], state: dict[str, Any]) -> Any:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class InvalidRequest(ServiceError):
    def __init__(self, message: str, *, field: str, limit: int | None = None) -> None:
        super().__init__(message)
        self.field = field
        self.limit = limit


class MalformedRequest(InvalidRequest):
    """The body could not be read as JSON."""


class Empty(InvalidRequest):
    """There is nothing to rank."""


class TooLong(InvalidRequest):
    """A text that may not be cut has more tokens than the model accepts."""


class Refused(ServiceError):
    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QueueFull(Refused):
    """The queue has no room for this job."""


class Loading(Refused):
    """The model is not ready yet."""


class EngineFailed(Refused):
    """The model could not be loaded, or its engine has crashed, fails or does not respond.

    The service tests such an engine every five seconds, so an earlier retry is of no use.
    """

    def __init__(self, message: str, *, retry_after: float = 5.0) -> None:
        super().__init__(message, retry_after=retry_after)


class Draining(Refused):
    """The service is shutting down."""


class DeadlineExceeded(ServiceError):
    """The answer was not, or could not be, ready within the caller's time limit."""


class ScoringFailed(ServiceError):
    """For every document, the engine raised an error or returned something that is not a score."""


class UpstreamFailed(ServiceError):
    """The text names the service and what it did, never the data sent to it or its key."""

    def __init__(
        self,
        message: str,
        *,
        upstream: str,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.upstream = upstream
        self.status = status
        self.retry_after = retry_after  # seconds, if the service sent them


class UpstreamBusy(UpstreamFailed):
    """Its request limit is reached, and retries within the time limit did not help."""


class UpstreamTimeout(UpstreamFailed):
    """No answer, or no next part of a streamed answer, within the time limit."""


class LoopDetected(UpstreamFailed):
    """Services are configured to call each other in a loop."""


class NoStore(UpstreamFailed):
    """There is no store in which to find candidates."""


class LoadFailed(ServiceError):
    """The model cannot be loaded as configured."""


class InvalidSetting(LoadFailed):
    """A setting contradicts another setting, the model or this machine and must be changed."""


# What a slim installation lacks.
INSTALL_TORCH = "pip install 'torch>=2.6' 'sentence-transformers>=6.2,<7'"


class PackageMissing(LoadFailed):
    """The model or a setting needs a package that is not installed here."""
