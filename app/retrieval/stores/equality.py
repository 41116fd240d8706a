"""Filters in the syntax of MongoDB's queries, which Chroma and Pinecone accept too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def equality(filters: Mapping[str, Any]) -> dict[str, Any] | None:
    """All of the filters as a single condition; None without filters."""
    equal = [{name: {"$eq": value}} for name, value in filters.items()]
    if not equal:
        return None
    return equal[0] if len(equal) == 1 else {"$and": equal}
