"""A failed validation as one sentence that names the field."""

from __future__ import annotations

from pydantic import ValidationError

from app.errors import InvalidRequest

# Names of union members, which are not fields in the body.
MEMBERS = {"<string>", "<object>", "<list>", "str", "int"}
# Field names in the body may be of any length.
MAX_FIELD_CHARS = 200
BOUNDS = ("ge", "gt", "le", "lt", "min_length", "max_length")


def as_invalid(error: ValidationError) -> InvalidRequest:
    """The first error, with the path of the field in the request body."""
    first = error.errors(include_url=False, include_input=False)[0]
    field = field_path(first["loc"])[:MAX_FIELD_CHARS]
    bounds = [first.get("ctx", {}).get(name) for name in BOUNDS]
    limit = next((bound for bound in bounds if isinstance(bound, int)), None)
    message = first["msg"][:1].lower() + first["msg"][1:]
    return InvalidRequest(f"{field}: {message}", field=field, limit=limit)


def field_path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        if isinstance(part, int):
            path += f"[{part}]"
        elif part not in MEMBERS:
            path += f".{part}" if path else part
    return path or "body"
