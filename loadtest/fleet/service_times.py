"""How long a replica takes: a batch in the engine, and everything else of a request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic_core import from_json

from app.engines import Pair, tokens_of
from app.evaluation.writing import write_json

MEASURED = Path(__file__).with_name("service_times.json")


@dataclass(frozen=True, slots=True)
class ServiceTimes:
    """Seconds. The parts outside the engine are those of an idle service."""

    per_batch: float
    per_token: float
    per_request: float = 0.0
    per_document: float = 0.0
    max_batch_tokens: int = 1_024
    # Where and how they were measured.
    source: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path = MEASURED) -> Self:
        return cls(**from_json(path.read_bytes()))

    def write(self, path: Path) -> None:
        write_json(path, asdict(self))

    def batch(self, pairs: Sequence[Pair]) -> float:
        return self.per_batch + self.per_token * tokens_of(pairs)

    def beside(self, documents: int) -> float:
        """HTTP, JSON and tokenizing."""
        return self.per_request + self.per_document * documents

    def scaled(self, factor: float) -> Self:
        """With an engine that takes `factor` times as long; the rest as it is."""
        return replace(self, per_batch=self.per_batch * factor, per_token=self.per_token * factor)

    def outside(self, per_request: float, per_document: float) -> Self:
        return replace(self, per_request=per_request, per_document=per_document)


def fit_line(amounts: Sequence[float], seconds: Sequence[float]) -> tuple[float, float]:
    """The fixed part and the part for each unit, neither below 0, by least relative squares."""
    weights = 1 / np.asarray(seconds)
    columns = np.stack([weights, np.asarray(amounts) * weights], axis=1)
    (fixed, slope), *_ = np.linalg.lstsq(columns, np.ones(len(seconds)), rcond=None)
    if fixed < 0:
        ratio = np.asarray(amounts) * weights
        return 0.0, float(ratio.sum() / (ratio * ratio).sum())
    return float(fixed), max(0.0, float(slope))
