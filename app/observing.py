"""Observers that cannot break what they observe: metrics, traces and the like.

Whoever composes the service wraps each of them once. What fails is logged with its traceback, the
first time; after that it would only be repeated with every request.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import ParamSpec

Given = ParamSpec("Given")

logger = logging.getLogger(__name__)


class Once:
    """Logs the first failure of an observer, and no other."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._failed = False

    def failed(self, error: Exception) -> None:
        if not self._failed:
            fields = {"observer": self._name}
            logger.error("observer_failed", exc_info=error, extra={"fields": fields})
        self._failed = True


def harmless(observe: Callable[Given, object], once: Once | None = None) -> Callable[Given, None]:
    """The observer, guarded. Several that are parts of one may share what they log once."""
    once = once or Once(getattr(observe, "__qualname__", type(observe).__name__))

    def guarded(*args: Given.args, **kwargs: Given.kwargs) -> None:
        try:
            observe(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 (what is observed goes on, whatever this was)
            once.failed(error)

    return guarded
