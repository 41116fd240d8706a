"""A first stage as the settings have it by default, but for what a test names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from app.compose.answer import first_stage
from app.retrieval.opening import FirstStage
from app.settings import Settings


def stage_of(stores: Sequence[str], **values: Any) -> FirstStage:
    return replace(first_stage(Settings()), stores=stores, **values)
