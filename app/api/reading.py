"""From a request to a Query that keeps every limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import Request
from pydantic import ValidationError

from app.api.body import read_json
from app.api.limits import RequestLimits
from app.errors import InvalidRequest
from app.rerank.query import Query

Parse = Callable[[dict[str, Any]], Query]
MEMBERS = {"<string>", "<object>", "str", "int"}  # of unions: not names that a caller wrote
BOUNDS = ("ge", "gt", "le", "lt", "min_length", "max_length")


async def read_query(request: Request, parse: Parse) -> Query:
    limits: RequestLimits = request.app.state.limits
    body = await read_json(request, limits.body_bytes)
    try:
        query = parse(body)
    except ValidationError as error:
        raise as_invalid(error) from error
    request.scope["log_fields"] = {"documents": len(query.documents)}
    return limits.check(query)


def as_invalid(error: ValidationError) -> InvalidRequest:
    """The first complaint, with the field as the caller would write it."""
    first = error.errors(include_url=False, include_input=False)[0]
    field = field_path(first["loc"])
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
