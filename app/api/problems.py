"""Error responses: one table of kinds and one format (RFC 9457, with fields that clients of other
APIs read).

Callers never see the text of an unexpected error; the log has it, with the request id.
"""

from __future__ import annotations

import logging
import math
import re
from typing import Any, NamedTuple

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from app.answer.feedback import FeedbackFinal, FeedbackFull, FeedbackLost, NoFeedback, UnknownAnswer
from app.api.auth import Disabled, Unauthorized
from app.api.body import BodyTooLarge, UnsupportedMedia, write_json
from app.api.context import context_of
from app.api.dialects.dialect import Dialect, Fault
from app.api.exposure import NotInstalled, WrongHost, WrongOrigin
from app.api.wiring import wiring_of
from app.errors import (
    DeadlineExceeded,
    Draining,
    Empty,
    EngineFailed,
    InvalidRequest,
    Loading,
    LoopDetected,
    MalformedRequest,
    NoStore,
    QueueFull,
    Refused,
    ScoringFailed,
    ServiceError,
    TooLong,
    UpstreamBusy,
    UpstreamFailed,
    UpstreamTimeout,
)
from app.rerank.fallback import FallbackSpent
from app.server.refusals import REFUSALS

MEDIA_TYPE = "application/problem+json"
MAX_RETRY_AFTER_MS = 86_400_000
UNEXPECTED = "an unexpected error; search the log of the service for the request id"

logger = logging.getLogger(__name__)


class Kind(NamedTuple):
    status: int
    type: str
    title: str


KINDS: dict[type[ServiceError], Kind] = {
    Empty: Kind(400, "empty", "There is nothing to rank"),
    MalformedRequest: Kind(400, "malformed", "The body is not JSON"),
    Unauthorized: Kind(401, "unauthorized", "An API key is needed"),
    Disabled: Kind(403, "disabled", "The operation is disabled"),
    NoStore: Kind(404, "no_store", "No store to answer from"),
    NoFeedback: Kind(404, "no_feedback", "The service does not store feedback"),
    UnknownAnswer: Kind(404, "unknown_answer", "No answer has this id"),
    FeedbackFinal: Kind(409, "feedback_final", "The verdict on this answer is final"),
    BodyTooLarge: Kind(413, "too_large", "The body is too large"),
    UnsupportedMedia: Kind(415, "unsupported_media", "The body must be JSON"),
    WrongOrigin: Kind(403, "wrong_origin", "The request is from a page of another site"),
    WrongHost: Kind(421, "wrong_host", "The request is for another host"),
    InvalidRequest: Kind(422, "invalid", "The request is not valid"),
    TooLong: Kind(422, "too_long", "A text is too long for the model"),
    QueueFull: Kind(429, "overloaded", "The queue is full"),
    ScoringFailed: Kind(500, "scoring_failed", "The model could not score the documents"),
    FeedbackLost: Kind(500, "feedback_lost", "The feedback could not be stored"),
    NotInstalled: Kind(501, "not_installed", "A package is not installed"),
    Loading: Kind(503, "loading", "The model is not ready"),
    EngineFailed: Kind(503, "engine_failed", "The model cannot score now"),
    Draining: Kind(503, "draining", "The service is shutting down"),
    UpstreamFailed: Kind(502, "upstream_failed", "Another service failed"),
    UpstreamBusy: Kind(429, "upstream_busy", "Another service accepts no requests for now"),
    FallbackSpent: Kind(429, "fallback_spent", "The fallback has had its documents for today"),
    UpstreamTimeout: Kind(504, "upstream_timeout", "Another service did not answer in time"),
    DeadlineExceeded: Kind(504, "deadline", "The time limit has passed"),
    FeedbackFull: Kind(507, "feedback_full", "The feedback file is full"),
    LoopDetected: Kind(508, "loop", "Services call each other in a loop"),
}
INTERNAL = Kind(500, "internal", "The service failed unexpectedly")
BY_STATUS = {
    404: Kind(404, "not_found", "Nothing exists at this path"),
    405: Kind(405, "method_not_allowed", "This path does not accept this method"),
}
TYPES = frozenset(
    [kind.type for kind in (*KINDS.values(), *BY_STATUS.values(), INTERNAL)]
    + [refusal.type for refusal in REFUSALS]
)


class Problem(BaseModel):
    """An error: one sentence, and a type that does not change."""

    model_config = ConfigDict(extra="forbid")

    type: str = Field(examples=["overloaded"])
    title: str
    status: int
    detail: str = Field(description="One sentence that names the field and the limit")
    message: str = Field(description="The same text as `detail`, for Cohere's clients")
    request_id: str
    field: str | None = Field(None, description="The field of the request that caused the error")
    limit: int | None = Field(None, description="The limit that was exceeded")


def refuse(request: Request, kind: Kind, detail: str, **more: Any) -> Response:
    """Write an error in the dialect of the request, as far as it is known."""
    context = context_of(request)
    context.outcome = kind.type
    dialects = wiring_of(request.app).dialects
    dialect = context.dialect or dialects.choose(request.scope["path"], request.headers, {})
    if dialect.refuse is None:
        return problem_response(request, kind, detail, **more)
    status = dialect.statuses.get(kind.type, kind.status)
    field = named_by(dialect, more.get("field") or "") or None
    body = dialect.refuse(Fault(status, kind.type, named_by(dialect, detail), field))
    if isinstance(body, str):
        return PlainTextResponse(body, status)
    if body is None:
        return Response(status_code=status)
    return Response(write_json(body), status, media_type="application/json")


def named_by(dialect: Dialect, text: str) -> str:
    """If the text starts with `documents`, use the key of the dialect instead."""
    return re.sub(r"^documents\b", dialect.documents, text)


def problem_response(request: Request, kind: Kind, detail: str, **more: Any) -> Response:
    body = write_json(make_problem(request, kind, detail, **more).model_dump(exclude_none=True))
    return Response(body, kind.status, media_type=MEDIA_TYPE)


def make_problem(request: Request, kind: Kind, detail: str, **more: Any) -> Problem:
    return Problem(
        type=kind.type,
        title=kind.title,
        status=kind.status,
        detail=detail,
        message=detail,
        request_id=context_of(request).id,
        **more,
    )


def kind_of(error: Exception) -> Kind:
    return next((KINDS[base] for base in type(error).__mro__ if base in KINDS), INTERNAL)


def fault_of(error: Exception) -> dict[str, Any]:
    return {name: getattr(error, name, None) for name in ("field", "limit")}


def describe(request: Request, error: Exception) -> Problem:
    """Describe an error as a part of a response with another status; record the outcome."""
    kind, context = kind_of(error), context_of(request)
    context.outcome, context.refusal = kind.type, kind.status
    log_refusal(request, error)
    if isinstance(error, ServiceError):
        return make_problem(request, kind, str(error) or kind.title, **fault_of(error))
    fields = {"request_id": context.id}
    logger.error("unexpected_error", exc_info=error, extra={"fields": fields})
    return make_problem(request, kind, UNEXPECTED)


def log_refusal(request: Request, error: Exception) -> None:
    """The text of a refusal has figures, and nothing that the caller sent."""
    if isinstance(error, Refused):
        context_of(request).log_fields["detail"] = str(error)


def on_service_error(request: Request, error: Exception) -> Response:
    kind = kind_of(error)
    log_refusal(request, error)
    response = refuse(request, kind, str(error) or kind.title, **fault_of(error))
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        response.headers.update(retry_headers(retry_after))
    if kind.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def retry_headers(seconds: float) -> dict[str, str]:
    """Limit the delay, which may come from another service, to between a millisecond and a day."""
    milliseconds = math.ceil(min(MAX_RETRY_AFTER_MS, max(1, seconds * 1000)))
    return {
        "Retry-After": str(math.ceil(milliseconds / 1000)),
        "retry-after-ms": str(milliseconds),
    }


def on_http_error(request: Request, error: Exception) -> Response:
    """Errors of the router: unknown path or method."""
    status = getattr(error, "status_code", 500)
    kind = BY_STATUS.get(status, INTERNAL._replace(status=status))
    headers: dict[str, str] = getattr(error, "headers", None) or {}
    if headers.get("Allow") == "GET":
        headers["Allow"] = "GET, HEAD"  # app.api.head
    detail = f"{kind.title}: {request.method} {request.url.path[:200]}"
    if "Allow" in headers:
        detail += f"; it accepts {headers['Allow']}"
    if wiring_of(request.app).exposure.docs:
        detail += "; /docs describes all paths"
    response = refuse(request, kind, detail)
    response.headers.update(headers)
    return response


def on_unexpected(request: Request) -> Response:
    return refuse(request, INTERNAL, UNEXPECTED)


def install(app: FastAPI) -> None:
    app.add_exception_handler(ServiceError, on_service_error)
    app.add_exception_handler(HTTPException, on_http_error)


def documented(*statuses: int, problem: bool = True) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries for the errors of a route.

    `problem`: whether the body is a Problem; other dialects get no schema.
    """
    titles = {kind.status: kind.title for kind in (INTERNAL, *BY_STATUS.values(), *KINDS.values())}
    waits = {
        "Retry-After": "Seconds to wait before a retry",
        "retry-after-ms": "Milliseconds to wait before a retry",
    }
    headers = {
        name: {"description": text, "schema": {"type": "integer", "minimum": 1}}
        for name, text in waits.items()
    }
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": titles[status],
            **({"content": {MEDIA_TYPE: {"schema": schema}}} if problem else {}),
            **({"headers": headers} if status in (429, 503) else {}),
        }
        for status in statuses
    }
