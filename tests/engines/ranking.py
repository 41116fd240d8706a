"""Scores straight from an engine."""

from __future__ import annotations

from collections.abc import Sequence

from app.engines import LoadedModel


def scores(model: LoadedModel, question: str, texts: Sequence[str]) -> list[float]:
    encoded = model.encoder.encode(question, texts, instruction=None, cut="right")
    return model.engine.score([pair.pair for pair in encoded])
