"""What the API knows about one request, from its arrival to its line in the log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection
from starlette.types import Scope

if TYPE_CHECKING:
    from app.api.dialects.dialect import Dialect
    from app.api.inflight import Hold

KEY = "rerankd.context"


@dataclass(slots=True)
class RequestContext:
    """Created by `Access`; later stages of the request fill it in."""

    id: str
    outcome: str = "ok"
    refusal: int | None = None  # the status of an error in a response that has another status
    dialect: Dialect | None = None  # None until the body is read
    caller: str = ""  # see `caller_of`
    hold: Hold | None = None  # the share of the body in the budget of all bodies
    body_bytes: int = 0
    log_fields: dict[str, object] = field(default_factory=dict)


def open_context(scope: Scope, request_id: str) -> RequestContext:
    context = scope[KEY] = RequestContext(request_id)
    return context


def context_of(request: HTTPConnection | Scope) -> RequestContext:
    scope = request.scope if isinstance(request, HTTPConnection) else request
    context: RequestContext = scope[KEY]
    return context
