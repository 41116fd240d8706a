"""`/mcp`: the tools of the Model Context Protocol, over streamable HTTP.

One POST is one message and one answer, without a session. The body is read here, with the limits of
all other paths; then the SDK reads the message, and a tool does what the path of its name does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.types import Message, Receive, Scope, Send

from app.api.answer_bodies import render
from app.api.answer_routes import check_answer_request, question_of
from app.api.answer_stream import new_name, note
from app.api.auth import require_key
from app.api.body import read_raw
from app.api.context import context_of
from app.api.dialects import native
from app.api.dialects.dialect import Body
from app.api.exposure import NotInstalled
from app.api.hosts import require_own_origin
from app.api.limits import RequestLimits
from app.api.marking import marked
from app.api.on_demand import OnDemand
from app.api.problems import describe
from app.api.reading import passed_on_by, to_queries
from app.api.routes import label, rank
from app.api.wiring import wiring_of
from app.mcp.backend import Offer
from app.mcp.forwarding import retry_text
from app.mcp.tools import RERANK, Tool
from app.rerank.query import Query

if TYPE_CHECKING:
    from app.mcp.transports import Manager

# A million tokens, which is more than an agent can write. The SDK reads a message in a few long
# steps, so the limit of all other paths would hold the event loop: docs/decisions/0013.
MAX_MESSAGE_BYTES = 4 * 2**20
MISSING = "MCP is not installed: pip install 'rerankd[mcp]'"


class RequestBackend:
    """Calls a tool within one request, with its key, its limits and its line in the log."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._wiring = wiring_of(request.app)

    async def offer(self) -> Offer:
        limits = self._wiring.limits
        return Offer(
            self._wiring.has_store(),
            {"documents": limits.documents, "query_chars": limits.query_chars},
        )

    async def call(self, tool: Tool, body: Mapping[str, Any]) -> Mapping[str, Any]:
        context_of(self._request).log_fields["tool"] = tool.name
        return await (self._rerank if tool is RERANK else self._answer)(dict(body))

    async def _rerank(self, body: Body) -> dict[str, Any]:
        reranker = self._wiring.service.reranker()

        def parse(body: Body) -> list[Query]:
            self._wiring.limits.check_counts(body, [native.DIALECT.documents])
            return [native.parse(body)]

        marks = passed_on_by(self._request)
        (query,) = await to_queries(self._request, body, parse, marks)
        ranking = await rank(self._request, reranker, query)
        marked(self._request, [ranking])
        return native.render(ranking, label(self._request, ranking))

    async def _answer(self, body: Body) -> dict[str, Any]:
        service = self._wiring.service.answering()
        question = question_of(self._request, check_answer_request(body, self._wiring.limits))
        made = await service.answerer.answer(question)
        marked(self._request, [made.selection])
        name = new_name()
        note(self._request, service, name, made)
        return render(name, made)

    def explain(self, tool: Tool, error: Exception) -> str:
        context_of(self._request).log_fields["tool"] = tool.name
        problem = describe(self._request, error)
        return f"{problem.type}: {problem.detail}{retry_text(getattr(error, 'retry_after', None))}"


class Exchange(Response):
    """What the SDK answers to a body that was read before."""

    def __init__(self, manager: Manager, body: bytes) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers()
        self._manager = manager
        self._messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,  # noqa: ARG002 (a disconnect cancels this task)
        send: Send,
    ) -> None:
        await self._manager.handle_request(scope, self._receive, send)

    async def _receive(self) -> Message:
        if self._messages:
            return self._messages.pop()
        nothing: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        return await nothing


def manager_on_demand(limits: RequestLimits) -> OnDemand[Manager]:
    """Importing the SDK takes almost a second and 40 MB, and most services get no message."""

    def make() -> AbstractAsyncContextManager[Manager]:
        from app.mcp.transports import open_manager  # noqa: PLC0415 (an extra)

        return open_manager(RequestBackend, message_limits(limits).body_bytes)

    return OnDemand(make)


def message_limits(limits: RequestLimits) -> RequestLimits:
    return replace(limits, body_bytes=min(limits.body_bytes, MAX_MESSAGE_BYTES))


def make_router(manager: OnDemand[Manager]) -> APIRouter:
    """Only POST: without sessions there is no stream to GET and nothing to DELETE."""
    installed = find_spec("mcp") is not None
    router = APIRouter(
        include_in_schema=False,  # it has a protocol of its own
        dependencies=[Depends(require_own_origin), Depends(require_key)],
    )

    @router.post("/mcp")
    async def mcp(request: Request) -> Response:
        if not installed:
            raise NotInstalled(MISSING)
        body = await read_raw(request, message_limits(wiring_of(request.app).limits))
        return Exchange(await manager.get(), bytes(body))

    return router
