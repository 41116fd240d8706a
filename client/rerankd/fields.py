"""Reads JSON into the types of the client, and says which field is not as expected."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from rerankd.errors import UnreadableResponse

Value = TypeVar("Value")
# For messages about what another service sent.
MAX_SHOWN = 200


class Fields:
    """An object of JSON. Fields that are not read may be anything."""

    def __init__(self, values: object, path: str = "") -> None:
        if not isinstance(values, dict):
            raise UnreadableResponse(f"{path or 'the response'} is not an object of JSON")
        self.values: Mapping[str, Any] = values
        self._path = path

    def _name(self, field: str) -> str:
        return f"{self._path}.{field}" if self._path else field

    def _wrong(self, field: str, expected: str) -> UnreadableResponse:
        return UnreadableResponse(f"{self._name(field)} of the response is not {expected}")

    def text(self, field: str) -> str:
        value = self.values.get(field)
        if not isinstance(value, str):
            raise self._wrong(field, "a text")
        return value

    def whole(self, field: str) -> int:
        value = self.values.get(field)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(field, "a whole number")
        return value

    def number(self, field: str) -> float:
        value = self.values.get(field)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self._wrong(field, "a number")
        return float(value)

    def flag(self, field: str) -> bool:
        value = self.values.get(field)
        if not isinstance(value, bool):
            raise self._wrong(field, "true or false")
        return value

    def optional(self, field: str, read: Callable[[str], Value]) -> Value | None:
        """What `read` makes of the field; None if it is absent or null."""
        return None if self.values.get(field) is None else read(field)

    def within(self, field: str) -> Fields:
        return Fields(self.values.get(field), self._name(field))

    def items(self, field: str, read: Callable[[Fields], Value]) -> tuple[Value, ...]:
        """The objects of a list; empty if it is absent."""
        values = self._list(field)
        return tuple(
            read(Fields(value, f"{self._name(field)}[{index}]"))
            for index, value in enumerate(values)
        )

    def texts(self, field: str) -> tuple[str, ...]:
        values = self._list(field)
        if not all(isinstance(value, str) for value in values):
            raise self._wrong(field, "a list of texts")
        return tuple(values)

    def wholes(self, field: str) -> tuple[int, ...]:
        values = self._list(field)
        if not all(isinstance(value, int) and not isinstance(value, bool) for value in values):
            raise self._wrong(field, "a list of whole numbers")
        return tuple(values)

    def numbers(self, field: str) -> dict[str, float]:
        """Numbers by name; empty if the field is absent."""
        if self.values.get(field) is None:
            return {}
        inner = self.within(field)
        return {name: inner.number(name) for name in inner.values}

    def _list(self, field: str) -> list[Any]:
        value = self.values.get(field)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(field, "a list")
        return value


def fields_of(raw: bytes | str) -> Fields:
    try:
        values = json.loads(raw)
    except ValueError as error:
        shown = raw[:MAX_SHOWN]
        raise UnreadableResponse(f"the response is not JSON: {shown!r}") from error
    return Fields(values)
