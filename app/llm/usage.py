"""Tokens as services report them, read with suspicion: the budget and the metrics count them."""

from __future__ import annotations

from typing import Any

from app.llm import Tokens

MAX_TOKENS = 10_000_000  # of a call; models read a tenth of it


def token_count(value: Any) -> int | None:
    """None for what cannot be a number of tokens: below 0, NaN, a text, more than any model."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= MAX_TOKENS else None


def reported(prompt: int | None, completion: int | None) -> Tokens | None:
    """None if either is not known. No prompt of ours is empty, so 0 for it is not known either."""
    return Tokens(prompt, completion) if prompt and completion is not None else None
