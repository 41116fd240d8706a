"""Values and arguments as GraphQL writes them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]*", re.ASCII)


class Word(str):
    """A name or a value of an enumeration, which has no quotation marks."""

    __slots__ = ()


def is_name(text: str) -> bool:
    return NAME.fullmatch(text) is not None


def literal(value: Any) -> str:
    """Names of objects have no quotation marks; everything else is written as in JSON."""
    match value:
        case Word():
            return str(value)
        case Mapping():
            return "{" + arguments(value) + "}"
        case list():
            return "[" + ", ".join(map(literal, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def arguments(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}: {literal(value)}" for name, value in values.items())
