"""Sends an answer as server-sent events.

A separate task makes the answer. It never waits for the client: unread events wait in memory. Their
size is small, because the answer of a model is limited (`LLMOptions.max_chars`); a slow client that
occupies a slot of a model would cost other callers far more. One deadline limits both making and
sending, and the task ends with the request.
"""

from __future__ import annotations

import asyncio
from collections import deque
from uuid import uuid4

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from app.answer.answerer import AnswerService
from app.answer.question import Question
from app.answer.result import Answer, Selection
from app.api.answer_bodies import render, render_sources
from app.api.body import write_json
from app.api.context import context_of
from app.api.marking import marked, note_scores
from app.api.problems import describe
from app.deadline import Deadline

# Added to the time limit, because an answer that is ready at the last moment must still be sent.
SEND_SECONDS = 5.0
STALLED = "client_stalled"


class EventStream(Response):
    """An error before the first event is a normal error response with its own status."""

    media_type = "text/event-stream"

    def __init__(self, request: Request, service: AnswerService, question: Question) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._request = request
        self._service = service
        self._question = question
        self._name = new_name()
        self._started = False
        self._unread: deque[Selection | str] = deque()
        self._changed = asyncio.Event()

    async def __call__(
        self,
        scope: Scope,  # noqa: ARG002 (the request has it)
        receive: Receive,  # noqa: ARG002 (the body is read; a disconnect cancels this task)
        send: Send,
    ) -> None:
        deadline = Deadline.after(self._service.answerer.limit(self._question))
        try:
            async with asyncio.timeout_at(deadline.at + SEND_SECONDS):
                await self._make_and_send(send)
        except TimeoutError as error:
            if not self._started:
                raise deadline.exceeded() from error
            context_of(self._request).outcome = STALLED

    async def _make_and_send(self, send: Send) -> None:
        answering = self._service.answerer.answer(self._question, self._hear)
        making = asyncio.create_task(answering, name="answer")
        making.add_done_callback(lambda _: self._changed.set())
        try:
            await self._send_events(send, making)
        finally:
            making.cancel()
            await asyncio.wait([making])

    def _hear(self, event: Selection | str) -> None:
        self._unread.append(event)
        self._changed.set()

    async def _send_events(self, send: Send, making: asyncio.Task[Answer]) -> None:
        while await self._is_unread(making):
            if not await self._send(send, self._unread.popleft()):
                return
        try:
            answer = making.result()
        except Exception as error:
            if not self._started:
                raise
            await self._send(send, error)
        else:
            await self._send(send, answer)

    async def _is_unread(self, making: asyncio.Task[Answer]) -> bool:
        """Wait for an event; False after the answer is complete and all events are sent."""
        while not self._unread and not making.done():
            self._changed.clear()
            await self._changed.wait()
        return bool(self._unread)

    async def _send(self, send: Send, event: Selection | str | Answer | Exception) -> bool:
        """Send one event; return whether more may follow."""
        if not self._started:
            self._started = True
            await self._start(send, event)
        try:
            body, more = self._body(event), isinstance(event, Selection | str)
        except Exception as error:  # noqa: BLE001 (only the stream can report it now)
            body, more = self._failed(error), False
        await send({"type": "http.response.body", "body": body, "more_body": more})
        return more

    async def _start(self, send: Send, first: object) -> None:
        self.headers.update(marked(self._request, [first] if isinstance(first, Selection) else []))
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )

    def _body(self, event: Selection | str | Answer | Exception) -> bytes:
        match event:
            case Selection():
                sources = render_sources(event, texts=self._question.return_documents)
                return encode("sources", {"id": self._name, "sources": sources})
            case str():
                return encode("text", {"text": event})
            case Answer():
                note(self._request, self._service, self._name, event)
                return encode("answer", render(self._name, event))
            case Exception():
                return self._failed(event)

    def _failed(self, error: Exception) -> bytes:
        return encode("error", describe(self._request, error).model_dump(exclude_none=True))


def encode(name: str, data: object) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + write_json(data) + b"\n\n"


def new_name() -> str:
    """A unique id for an answer. The request id is not unique: callers may choose it."""
    return uuid4().hex


def note(request: Request, service: AnswerService, name: str, answer: Answer) -> None:
    """Add the answer to the access log, and remember it for later feedback."""
    context_of(request).log_fields |= {
        "answer": answer.outcome,
        "answer_id": name,
        "retrieved": len(answer.selection.candidates),
        "used": answer.used,
        "warnings": len(answer.warnings),
        **({"llm": answer.llm} if answer.llm else {}),
    }
    if (scored := answer.selection.top_scored) is not None:
        note_scores(request, answer.selection.model, scored)
    service.remember(name, answer)
