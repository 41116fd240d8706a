"""Errors of a bulk run; each message is one sentence for the user."""

from __future__ import annotations

from app.errors import ServiceError


class Unusable(ServiceError):
    """A file, a folder or an option that must be changed before anything can be ranked."""


class RunFailed(ServiceError):
    """The run ended early; the same command continues it."""
