"""Reads a request into queries that respect all limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fastapi import Request
from pydantic import ValidationError

from app import via
from app.api.auth import caller_of
from app.api.body import read_json, step
from app.api.context import context_of
from app.api.wiring import wiring_of
from app.errors import InvalidRequest, LoopDetected
from app.rerank.query import Query

Body = dict[str, Any]
# Names of union members, which are not fields in the body.
MEMBERS = {"<string>", "<object>", "<list>", "str", "int"}
# Field names in the body may be of any length.
MAX_FIELD_CHARS = 200
BOUNDS = ("ge", "gt", "le", "lt", "min_length", "max_length")


async def read_query(request: Request, parse: Callable[[Body], Query]) -> Query:
    (query,) = await read_queries(request, lambda body: [parse(body)])
    return query


async def read_queries(request: Request, parse: Callable[[Body], list[Query]]) -> list[Query]:
    limits = wiring_of(request.app).limits
    marks = passed_on_by(request)
    body = await read_json(request, limits)
    try:
        queries = parse(body)
    except ValidationError as error:
        raise as_invalid(error) from error
    await step(request)
    documents = sum(len(query.documents) for query in queries)
    context_of(request).log_fields["documents"] = documents
    for query in queries:
        limits.check_texts(query)
    caller = caller_of(request)
    if not (marks or caller):
        return queries
    return [replace(query, via=marks, caller=caller) for query in queries]


def passed_on_by(request: Request) -> list[str]:
    """The marks of other rerankd services; the own mark means that the request is in a loop."""
    marks = via.read(", ".join(request.headers.getlist(via.HEADER)))
    if wiring_of(request.app).mark in marks:
        sentence = f"the request returned to a service that had forwarded it: {via.ADVICE}"
        raise LoopDetected(sentence, upstream="rerankd")
    return marks


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
