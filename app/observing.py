"""Observers, such as metrics and traces, whose errors do not affect what they observe.

The code that composes the service wraps each observer once. Only the first failure is logged, with
its traceback; otherwise every request would log it again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import ParamSpec

Params = ParamSpec("Params")

logger = logging.getLogger(__name__)


class Once:
    """Logs only the first failure of an observer."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._failed = False

    def failed(self, error: Exception) -> None:
        if not self._failed:
            fields = {"observer": self._name}
            logger.error("observer_failed", exc_info=error, extra={"fields": fields})
        self._failed = True


def harmless(observe: Callable[Params, object], once: Once | None = None) -> Callable[Params, None]:
    """Wrap an observer. Observers that belong together may share `once`."""
    once = once or Once(getattr(observe, "__qualname__", type(observe).__name__))

    def guarded(*args: Params.args, **kwargs: Params.kwargs) -> None:
        try:
            observe(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 (an observer must not break its caller)
            once.failed(error)

    return guarded
