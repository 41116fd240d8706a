"""What the batcher tells those who count."""

from __future__ import annotations

from dataclasses import dataclass


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
