"""What the batcher tells those who count."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

logger = logging.getLogger(__name__)

Event = TypeVar("Event")


@dataclass(frozen=True, slots=True)
class BatchDone:
    pairs: int
    tokens: int
    padding: int
    seconds: float
    failed: int
    budget: int


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Pairs whose caller went away before they cost anything."""

    pairs: int


def harmless(observe: Callable[[Event], None]) -> Callable[[Event], None]:
    """Counting that fails must not fail what was counted."""

    def tell(event: Event) -> None:
        try:
            observe(event)
        except Exception:
            logger.exception("an observer failed")

    return tell
