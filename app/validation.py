"""A failed validation as one sentence that names the field."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from app.errors import InvalidRequest

# Names of union members, which are not fields in the body.
MEMBERS = {"<string>", "<object>", "<list>", "str", "int"}
# Field names in the body may be of any length.
MAX_FIELD_CHARS = 200
NOT_BLANK = r"\S"
# pydantic names the classes of this code, and its own steps, in its sentences.
OBJECT = re.compile(r"a valid dictionary( or instance of \w+)?")
STEP = " after validation"
VALID = "Input should be a valid "
BOUNDS = ("ge", "gt", "le", "lt", "min_length", "max_length")


def as_invalid(error: ValidationError) -> InvalidRequest:
    """The first error, with the path of the field in the request body."""
    errors = error.errors(include_url=False, include_input=False)
    first = errors[0]
    field = field_path(first["loc"])[:MAX_FIELD_CHARS]
    bounds = [first.get("ctx", {}).get(name) for name in BOUNDS]
    limit = next((bound for bound in bounds if isinstance(bound, int)), None)
    text = sentence(errors)
    message = text[:1].lower() + text[1:]
    return InvalidRequest(f"{field}: {message}", field=field, limit=limit)


def sentence(errors: Sequence[ErrorDetails]) -> str:
    """What the first error demands, in words for callers, who know JSON and not pydantic."""
    first = errors[0]
    if first.get("ctx", {}).get("pattern") == NOT_BLANK:
        return "Input should not be empty or blank"
    types = accepted_types(errors)
    if len(types) > 1:
        return f"{VALID}{', '.join(types[:-1])} or {types[-1]}"
    return OBJECT.sub("an object", first["msg"]).replace(STEP, "")


def accepted_types(errors: Sequence[ErrorDetails]) -> list[str]:
    """The types that a field accepts, if each of several was tried and reported."""
    *field, member = errors[0]["loc"] or ("",)
    if member not in MEMBERS:
        return []
    tried = [error["msg"] for error in errors if list(error["loc"][:-1]) == field]
    return [text.removeprefix(VALID) for text in tried if text.startswith(VALID)]


def field_path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part not in MEMBERS:
            path += f".{part}" if path else part
    return path or "body"
