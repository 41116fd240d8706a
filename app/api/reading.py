"""Reads a request into queries that respect all limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from fastapi import Request
from pydantic import ValidationError

from app import via
from app.api.auth import caller_of
from app.api.body import read_json, step
from app.api.context import context_of
from app.api.wiring import wiring_of
from app.errors import LoopDetected
from app.rerank.query import Query
from app.validation import as_invalid

Body = dict[str, Any]


async def read_query(request: Request, parse: Callable[[Body], Query]) -> Query:
    (query,) = await read_queries(request, lambda body: [parse(body)])
    return query


async def read_queries(request: Request, parse: Callable[[Body], list[Query]]) -> list[Query]:
    limits = wiring_of(request.app).limits
    marks = passed_on_by(request)
    return await to_queries(request, await read_json(request, limits), parse, marks)


async def to_queries(
    request: Request, body: Body, parse: Callable[[Body], list[Query]], marks: Sequence[str] = ()
) -> list[Query]:
    """`marks` are those of the services that forwarded the request."""
    limits = wiring_of(request.app).limits
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
