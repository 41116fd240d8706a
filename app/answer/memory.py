"""How much memory a value takes, with all that it holds."""

from __future__ import annotations

import sys
from dataclasses import is_dataclass
from typing import Any

LEAVES = frozenset({str, bytes, int, float})
LISTS = frozenset({list, tuple, set, frozenset})


def bytes_of(value: Any) -> int:
    """As the interpreter counts it; what is held twice counts once. Strings are the most of it."""
    total, seen, left = 0, set[int](), [value]
    while left:
        part = left.pop()
        if part is None or part is True or part is False or id(part) in seen:
            continue
        seen.add(id(part))
        total += sys.getsizeof(part)
        kind = type(part)
        if kind in LEAVES:
            continue
        if kind is dict:
            left += part
            left += part.values()
        elif kind in LISTS:
            left += part
        elif is_dataclass(kind):
            left += [getattr(part, name) for name in kind.__dataclass_fields__]
    return total
