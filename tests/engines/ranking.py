"""Scores straight from an engine."""

from __future__ import annotations

from collections.abc import Sequence

from app.engines import LoadedModel
from app.engines.backend import Converter
from app.engines.backends import converters


def scores(model: LoadedModel, question: str, texts: Sequence[str]) -> list[float]:
    encoded = model.encoder.encode(question, texts, instruction=None, cut="right")
    return model.engine.score([pair.pair for pair in encoded])


def of_any_model() -> list[Converter]:
    """Those that convert a model of any architecture and size, as the small ones of the tests."""
    return [backend for backend in converters() if "float32" in backend.all_dtypes]
