"""A service that follows a script, in the place of the network."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx

from rerankd.client import RetryPolicy
from tests.client.callers import Caller, Streamed, opened

DOCUMENTS = ["a", "b", "c"]
Reply = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


def problem(status: int, type_: str, headers: dict[str, str] | None = None, **more: Any) -> Reply:
    body = {"type": type_, "status": status, "detail": "no", "request_id": "r1", **more}
    return httpx.Response(status, json=body, headers=headers)


def ranks(request: httpx.Request, model: str = "m", **more: Any) -> httpx.Response:
    """Scores each text by its length."""
    texts = json.loads(request.content)["documents"]
    order = sorted(range(len(texts)), key=lambda index: -len(texts[index]))
    results = [{"index": n, "relevance_score": float(len(texts[n]))} for n in order]
    usage = {"total_tokens": len(texts), "documents": len(texts), "truncated": 0}
    body = {"id": "i", "model": model, "score": "logit", "results": results, "usage": usage, **more}
    return httpx.Response(200, json=body)


class Script:
    """Replies in order, the last for ever; remembers when it was called, and with what."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.times: list[float] = []
        self.bodies: list[Any] = []
        self.requests: list[httpx.Request] = []
        self.caller: Caller | None = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        self.times.append(round(self.caller.now(), 3) if self.caller else 0.0)
        self.requests.append(request)
        self.bodies.append(json.loads(request.content) if request.content else None)
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, httpx.Response):
            return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)
        return reply(request)


def attempt(kind: str, script: Script, method: str, *args: Any, **client_options: Any) -> Any:
    call_options = client_options.pop("call", {})
    with opened(kind, handler=script, **client_options) as caller:
        script.caller = caller
        return caller.call(method, *args, **call_options)


def rerank(kind: str, script: Script, **options: Any) -> Any:
    return attempt(kind, script, "rerank", "q", DOCUMENTS, **options)


EXACT = RetryPolicy(spread=0.0)
LOST = httpx.ReadError("connection reset")
NO_CONNECTION = httpx.ConnectError("refused")


def stream(kind: str, script: Script, **options: Any) -> Streamed:
    seen = Streamed()
    with opened(kind, handler=script, **options) as caller:
        script.caller = caller
        caller.stream(seen, lambda: None, "q")
    return seen
