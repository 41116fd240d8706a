"""The yardstick: `CrossEncoder.predict` in float32, in this process, with no server around it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import torch
from sentence_transformers import CrossEncoder

from app.engines.torch import duet  # noqa: F401 (teaches transformers the bundled architecture)
from loadtest.turns import Turn
from loadtest.workload import Request

BATCH = 32


class Predict:
    def __init__(self, model: Path | str, device: str = "cpu", dtype: str = "float32") -> None:
        self._model = CrossEncoder(
            str(model), device=device, model_kwargs={"dtype": getattr(torch, dtype)}
        )

    def scores(self, request: Request) -> list[float]:
        return self._predict(request.pairs)

    def turn(self, requests: Sequence[Request]) -> Turn:
        """All pairs in one call, which sorts them by length: the least padding it can have."""
        pairs = [pair for request in requests for pair in request.pairs]
        started, cpu = time.perf_counter(), time.process_time()
        self._predict(pairs)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        return Turn(len(pairs) / seconds, len(pairs) / cpu)

    def _predict(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        scores = self._model.predict(list(pairs), batch_size=BATCH, show_progress_bar=False)
        return [float(score) for score in scores]
