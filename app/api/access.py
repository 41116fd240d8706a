"""For every request: assigns its id, observes it, logs one line and handles unexpected errors."""

from __future__ import annotations

import logging
import re
import time
import uuid
from contextlib import AbstractContextManager
from typing import Self

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.context import context_of, open_context
from app.api.problems import on_unexpected
from app.events import Observe, RequestEnded, RequestRefused, RequestStarted
from app.service import Service

logger = logging.getLogger("rerankd.access")

SANE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
# Monitoring requests these every few seconds.
PROBES = frozenset(
    {"/healthz", "/readyz", "/metrics", "/health", "/ping", "/v1/health/live", "/v1/health/ready"}
)
# The files of the playground, some twenty for each visit.
QUIET_ROUTES = PROBES | {"/ui/{name}"}
BODY_HEADERS = frozenset({b"content-length", b"transfer-encoding"})
# Of requests that another process, or a later time, could have served.
REFUSALS = (429, 503, 504)
# The status that nginx logs for a client that disconnects; it is never sent.
CLIENT_GONE = 499


class Access:
    def __init__(self, app: ASGIApp, service: Service, observe: Observe) -> None:
        self._app = app
        self._service = service
        self._observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        context = open_context(scope, request_id(Headers(scope=scope).get("x-request-id", "")))
        started, status = time.perf_counter(), CLIENT_GONE

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = context.id
            await send(message)

        self._observe(RequestStarted())
        try:
            with Accepted(self._service, scope, receive) as accepted:
                await self._app(scope, accepted.receive, send_with_id)
        except Exception:  # the process must continue
            logger.exception("unexpected_error", extra={"fields": {"request_id": context.id}})
            if status == CLIENT_GONE:
                await on_unexpected(Request(scope))(scope, receive, send_with_id)
        finally:
            self._record(scope, status, time.perf_counter() - started)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route, context = route_of(scope), context_of(scope)
        # app.server.protocol sets `refused` if the connection refused the request.
        status, outcome = scope.get("refused", (status, context.outcome))
        self._observe(RequestEnded(route, outcome, seconds))
        if (context.refusal or status) in REFUSALS and route not in PROBES:
            self._observe(RequestRefused(outcome))
        fields = {
            "request_id": context.id,
            "method": scope["method"],
            "route": route,
            "status": status,
            "outcome": outcome,
            "ms": round(seconds * 1000, 1),
            **context.log_fields,
        }
        level = logging.DEBUG if route in QUIET_ROUTES else logging.INFO
        logger.log(level, "request", extra={"fields": fields})


class Accepted:
    """Counts a request as busy once its body is read, so that a drain waits for no slow body."""

    def __init__(self, service: Service, scope: Scope, receive: Receive) -> None:
        self._service = service
        self._receive = receive
        self._busy: AbstractContextManager[None] | None = None
        if all(name not in BODY_HEADERS for name, _ in scope["headers"]):
            self._count()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._busy is not None:
            self._busy.__exit__(None, None, None)

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._count()
        return message

    def _count(self) -> None:
        if self._busy is None:
            self._busy = self._service.busy()
            self._busy.__enter__()


def request_id(sent: str) -> str:
    return sent if SANE_ID.fullmatch(sent) else uuid.uuid4().hex


def route_of(scope: Scope) -> str:
    """The path template of the route, not the requested path: labels need a closed set."""
    return str(getattr(scope.get("route"), "path", "other"))
