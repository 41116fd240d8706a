"""An answer as server-sent events.

The answer is made by a task of its own, which never waits for the reader: what is unread waits
here. That is little, for a model's answer is bounded (`Asking.max_chars`); a slot at a model that
is held for somebody who does not read costs everybody else far more. One deadline ends the making
and the sending, and the task ends with the request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from app.answer.answered import Answer, Found
from app.answer.pipeline import Answering
from app.answer.question import Question
from app.api.answer_bodies import render, render_sources
from app.api.body import write_json
from app.api.context import context_of
from app.api.marking import marked
from app.api.problems import describe
from app.errors import DeadlineExceeded

# After the time limit, for what was made within it: an answer may be ready at the last moment.
SEND_SECONDS = 5.0
STALLED = "client_stalled"
Event = Found | str | Answer | Exception


class EventStream(Response):
    """What fails before the sources are known is a plain refusal, with a status of its own."""

    media_type = "text/event-stream"

    def __init__(self, request: Request, answering: Answering, question: Question) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._request = request
        self._answering = answering
        self._question = question
        self._name = new_name()
        self._events: asyncio.Queue[Event] = asyncio.Queue()

    async def __call__(
        self,
        scope: Scope,  # noqa: ARG002 (the request has it)
        receive: Receive,  # noqa: ARG002 (the body is read, and the client's going is a cancel)
        send: Send,
    ) -> None:
        limit, started = self._answering.answerer.limit(self._question), False
        try:
            async with asyncio.timeout(limit + SEND_SECONDS), running(self._answer()):
                event = await self._events.get()
                if isinstance(event, Exception):
                    raise event
                started = True
                await self._start(send, event)
                while await self._send(send, event):
                    event = await self._events.get()
        except TimeoutError as error:
            if not started:
                raise DeadlineExceeded(f"not answered within {limit * 1000:.0f} ms") from error
            context_of(self._request).outcome = STALLED

    async def _answer(self) -> None:
        put = self._events.put_nowait
        try:
            put(await self._answering.answerer.answer(self._question, put))
        except Exception as error:  # noqa: BLE001 (it is raised, or told, where it is read)
            put(error)

    async def _start(self, send: Send, first: Event) -> None:
        self.headers.update(marked(self._request, [first] if isinstance(first, Found) else []))
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )

    async def _send(self, send: Send, event: Event) -> bool:
        """Whether more follows."""
        try:
            body, more = self._shown(event), isinstance(event, Found | str)
        except Exception as error:  # noqa: BLE001 (the status is long sent: the stream must say it)
            body, more = self._failed(error), False
        await send({"type": "http.response.body", "body": body, "more_body": more})
        return more

    def _shown(self, event: Event) -> bytes:
        match event:
            case Found():
                sources = render_sources(event, texts=self._question.return_documents)
                return encode("sources", {"id": self._name, "sources": sources})
            case str():
                return encode("text", {"text": event})
            case Answer():
                note(self._request, self._answering, self._name, event)
                return encode("answer", render(self._name, event))
            case Exception():
                return self._failed(event)

    def _failed(self, error: Exception) -> bytes:
        return encode("error", describe(self._request, error).model_dump(exclude_none=True))


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """As long as the block runs, and no longer."""
    task = asyncio.create_task(work, name="answer")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def encode(name: str, data: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + write_json(data) + b"\n\n"


def new_name() -> str:
    """Of an answer: a request's id is the caller's, who may give it twice."""
    return uuid4().hex


def note(request: Request, answering: Answering, name: str, answer: Answer) -> None:
    """For the access log, and for a verdict on it later."""
    context_of(request).log_fields |= {
        "answer": answer.outcome,
        "answer_id": name,
        "retrieved": len(answer.found.candidates),
        "used": answer.used,
        "warnings": len(answer.warnings),
        **({"llm": answer.llm} if answer.llm else {}),
    }
    answering.remember(name, answer)
