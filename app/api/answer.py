"""`/answer`: a question in; an answer with its sources out, at once or as it is written."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ValidationError
from starlette.types import Receive, Scope, Send

from app.answer.answered import Answer, Found
from app.answer.answering import Answering
from app.answer.feedback import NoFeedback, Verdict
from app.answer.pipeline import Event
from app.answer.question import Question
from app.api.answer_bodies import (
    EXAMPLES,
    AnswerBody,
    AnswerRequest,
    FeedbackRequest,
    render,
    render_sources,
)
from app.api.auth import require_key
from app.api.body import read_json, write_json
from app.api.limits import RequestLimits
from app.api.marking import marked
from app.api.problems import describe, documented
from app.api.reading import as_invalid
from app.metrics import Metrics
from app.service import Service

router = APIRouter(tags=["answer"], dependencies=[Depends(require_key)])


async def get_answering(request: Request) -> Answering:
    service: Service = request.app.state.service
    return service.answering()


async def read_answer_request(request: Request) -> AnswerRequest:
    limits: RequestLimits = request.app.state.limits
    try:
        asked = AnswerRequest.model_validate(await read_json(request, limits))
    except ValidationError as error:
        raise as_invalid(error) from error
    limits.most("query", len(asked.query), limits.query_chars, "characters")
    limits.most("initial_k", asked.initial_k, limits.documents, "documents")
    for place, turn in enumerate(asked.conversation):
        field = f"conversation[{place}].content"
        limits.most(field, len(turn.content), limits.query_chars, "characters")
    return asked


async def read_verdict(request: Request) -> Verdict:
    limits: RequestLimits = request.app.state.limits
    try:
        given = FeedbackRequest.model_validate(await read_json(request, limits))
    except ValidationError as error:
        raise as_invalid(error) from error
    return Verdict(given.useful, given.source, given.comment)


EVENT = {
    "type": "object",
    "properties": {
        "event": {"enum": ["sources", "text", "answer", "error"]},
        "data": {"type": "string", "description": "JSON; of `answer`, the same as without stream"},
    },
    "required": ["event", "data"],
}
DepAnswering = Annotated[Answering, Depends(get_answering)]
DepAsked = Annotated[AnswerRequest, Depends(read_answer_request)]
DepVerdict = Annotated[Verdict, Depends(read_verdict)]


def takes(request: type[BaseModel], examples: dict[str, Any]) -> dict[str, Any]:
    content = {
        "schema": {"$ref": f"#/components/schemas/{request.__name__}"},
        "examples": examples,
    }
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


@router.post(
    "/answer",
    summary="Answer a question from what is stored, with citations",
    response_model=AnswerBody,
    responses={
        200: {"content": {"text/event-stream": {"schema": EVENT}}},
        **documented(400, 401, 404, 413, 415, 422, 429, 500, 502, 503, 504, 508),
    },
    openapi_extra=takes(AnswerRequest, EXAMPLES),
)
async def answer(request: Request, answering: DepAnswering, asked: DepAsked) -> Response:
    question = asked.question()
    if asked.stream:
        return await begin(request, answering, question)
    given = await answering.answerer.answer(question)
    headers = marked(request, [given.found])
    name = new_name()
    note(request, answering, name, given)
    return Response(write_json(render(name, given)), headers=headers, media_type="application/json")


def new_name() -> str:
    """Of an answer: a request's id is the caller's, who may give it twice."""
    return uuid4().hex


async def begin(request: Request, answering: Answering, question: Question) -> Response:
    """What fails before the sources are known is a plain refusal, with a status of its own."""
    events = answering.answerer.events(question, stream=True)
    try:
        found = await anext(events)
    except BaseException:
        await events.aclose()
        raise
    headers = marked(request, [found] if isinstance(found, Found) else [])
    told = tell(request, answering, found, events, texts=question.return_documents)
    return EventStream(told, headers)


async def tell(
    request: Request,
    answering: Answering,
    found: Event,
    events: AsyncGenerator[Event],
    *,
    texts: bool,
) -> AsyncGenerator[bytes]:
    name = new_name()
    async with aclosing(events):
        try:
            if isinstance(found, Found):
                sources = render_sources(found, texts=texts)
                yield event("sources", {"id": name, "sources": sources})
            async for piece in events:
                if isinstance(piece, str):
                    yield event("text", {"text": piece})
                elif isinstance(piece, Answer):
                    note(request, answering, name, piece)
                    yield event("answer", render(name, piece))
        except Exception as error:  # noqa: BLE001 (the status is long sent: the stream must say it)
            yield event("error", describe(request, error).model_dump(exclude_none=True))


def event(name: str, data: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + write_json(data) + b"\n\n"


def note(request: Request, answering: Answering, name: str, given: Answer) -> None:
    request.scope["log_fields"] = request.scope.get("log_fields", {}) | {
        "answer": given.outcome,
        "answer_id": name,
        "retrieved": len(given.found.candidates),
        "used": given.used,
        "warnings": len(given.warnings),
        **({"llm": given.llm} if given.llm else {}),
    }
    if answering.feedback is not None:
        answering.feedback.remember(name, given)


class EventStream(StreamingResponse):
    """Closes what it reads from at once, also when it is cancelled while it sends."""

    def __init__(self, told: AsyncGenerator[bytes], headers: Mapping[str, str]) -> None:
        ours = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", **headers}
        super().__init__(told, media_type="text/event-stream", headers=ours)
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with aclosing(self._told):
            await super().__call__(scope, receive, send)


@router.post(
    "/answer/{answer_id}/feedback",
    summary="Say whether an answer was good, and which source was the right one",
    status_code=204,
    responses=documented(400, 401, 404, 413, 415, 422, 500, 503),
    openapi_extra=takes(FeedbackRequest, {"up": {"value": {"useful": "up"}}}),
)
async def feedback(
    request: Request, answer_id: str, answering: DepAnswering, verdict: DepVerdict
) -> Response:
    if answering.feedback is None:
        raise NoFeedback("feedback is not kept here: feedback_file is not set")
    await answering.feedback.take(answer_id, verdict)
    metrics: Metrics = request.app.state.metrics
    metrics.feedback(verdict.useful)
    return Response(status_code=204)
