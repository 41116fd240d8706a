"""Filters in the syntax of MongoDB's queries, which Chroma and Pinecone accept too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def equality(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any] | None:
    """All pairs of a field and its value as a single condition; None without any."""
    equal = [{name: {"$eq": value}} for name, value in pairs]
    if not equal:
        return None
    return equal[0] if len(equal) == 1 else {"$and": equal}
