"""What can go wrong, as one tree; nothing here knows of HTTP.

The HTTP edge and `/answer` define some more of their own, under the same root.

ServiceError
├── InvalidRequest        the caller's fault, and which field
│   ├── MalformedRequest  not JSON at all
│   ├── Empty             no documents, for clients that are told so in a way of its own
│   └── TooLong           what does not fit and may not be cut: a document, an instruction
├── Refused               not now; changes nothing, and says when to come back
│   ├── QueueFull
│   ├── Loading
│   ├── EngineFailed
│   └── Draining
├── DeadlineExceeded      the caller's time limit passed, or certainly would
├── ScoringFailed         the engine could not score a single document
├── UpstreamFailed        another service that we asked refused, failed or sent junk
│   ├── UpstreamBusy      it takes no more requests for now
│   ├── UpstreamTimeout   it did not answer in time
│   ├── LoopDetected      it asked us in turn, or somebody before us
│   └── NoStore           there is none yet, so there is nothing to answer from
└── LoadFailed            the model cannot be served; the process ends
    └── InvalidSetting    a setting contradicts another, the model or this machine
"""

from __future__ import annotations


class ServiceError(Exception):
    """Base of all errors whose text is meant for the caller."""


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
    """More tokens than the model takes, of what may not be cut."""


class Refused(ServiceError):
    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QueueFull(Refused):
    """Accepting this job would exceed the queue's bound."""


class Loading(Refused):
    """The model is not ready yet."""


class EngineFailed(Refused):
    """The model could not be loaded, or what runs it has crashed, fails or does not respond.

    Such an engine is tried again every five seconds: to come back sooner is of no use.
    """

    def __init__(self, message: str, *, retry_after: float = 5.0) -> None:
        super().__init__(message, retry_after=retry_after)


class Draining(Refused):
    """The service is shutting down."""


class DeadlineExceeded(ServiceError):
    """The answer did not, or could not, come within the caller's time limit."""


class ScoringFailed(ServiceError):
    """The engine raised, or returned something that is not a score, for every document."""


class UpstreamFailed(ServiceError):
    """The text names the service and what it did, never what it was sent or its key."""

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
        self.retry_after = retry_after  # seconds, where the service said so


class UpstreamBusy(UpstreamFailed):
    """Its limit on requests is reached, and more tries within the time limit did not help."""


class UpstreamTimeout(UpstreamFailed):
    """No answer, or no next word of it, within the limit."""


class LoopDetected(UpstreamFailed):
    """Services were set up to ask each other in a circle."""


class NoStore(UpstreamFailed):
    """There is nothing yet to find candidates in."""


class LoadFailed(ServiceError):
    """The model cannot be loaded as asked."""


class InvalidSetting(LoadFailed):
    """A setting contradicts another setting, the model or this machine: it has to be changed."""
