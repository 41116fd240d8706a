"""`/answer`: returns an answer to a question with its sources, complete or as a stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ValidationError
from pydantic.config import JsonDict

from app.answer.answerer import AnswerService
from app.answer.feedback import NoFeedback, Verdict
from app.answer.question import Question
from app.api.answer_bodies import (
    EXAMPLES,
    AnswerBody,
    AnswerRequest,
    FeedbackRequest,
    render,
)
from app.api.answer_stream import EventStream, new_name, note
from app.api.auth import caller_of, require_key
from app.api.body import read_json, write_json
from app.api.limits import RequestLimits
from app.api.marking import marked
from app.api.problems import documented
from app.api.wiring import wiring_of
from app.errors import InvalidRequest
from app.events import FeedbackGiven
from app.tracing.tracer import caller_trace
from app.validation import as_invalid

router = APIRouter(tags=["answer"], dependencies=[Depends(require_key)])


async def get_answer_service(request: Request) -> AnswerService:
    return wiring_of(request.app).service.answering()


async def read_answer_request(request: Request) -> AnswerRequest:
    limits = wiring_of(request.app).limits
    return check_answer_request(await read_json(request, limits), limits)


def check_answer_request(raw: Mapping[str, object], limits: RequestLimits) -> AnswerRequest:
    try:
        body = AnswerRequest.model_validate(raw)
    except ValidationError as error:
        raise as_invalid(error) from error
    limits.most("query", len(body.query), limits.query_chars, "characters")
    if body.initial_k > limits.documents:
        text = f"initial_k: {body.initial_k} is more than the limit of {limits.documents}"
        raise InvalidRequest(text, field="initial_k", limit=limits.documents)
    for index, turn in enumerate(body.conversation):
        field = f"conversation[{index}].content"
        limits.most(field, len(turn.content), limits.query_chars, "characters")
    return body


def question_of(request: Request, body: AnswerRequest) -> Question:
    """The question with what the request, not its body, says of the caller."""
    trace = caller_trace(request.headers)
    return replace(body.question(), caller=caller_of(request), trace=trace)


async def read_verdict(request: Request) -> Verdict:
    limits = wiring_of(request.app).limits
    try:
        body = FeedbackRequest.model_validate(await read_json(request, limits))
    except ValidationError as error:
        raise as_invalid(error) from error
    return Verdict(body.useful, body.source, body.comment)


EVENT: JsonDict = {
    "type": "object",
    "properties": {
        "event": {"enum": ["sources", "text", "answer", "error"]},
        "data": {
            "type": "string",
            "description": "JSON; that of `answer` is the body without `stream`",
        },
    },
    "required": ["event", "data"],
}
DepService = Annotated[AnswerService, Depends(get_answer_service)]
DepQuestion = Annotated[AnswerRequest, Depends(read_answer_request)]
DepVerdict = Annotated[Verdict, Depends(read_verdict)]


def takes(request: type[BaseModel], examples: dict[str, JsonDict]) -> JsonDict:
    content: JsonDict = {
        "schema": {"$ref": f"#/components/schemas/{request.__name__}"},
        "examples": {**examples},
    }
    return {"requestBody": {"required": True, "content": {"application/json": content}}}


@router.post(
    "/answer",
    summary="Answer a question from stored documents, with citations",
    response_model=AnswerBody,
    responses={
        200: {"content": {"text/event-stream": {"schema": EVENT}}},
        **documented(400, 401, 404, 413, 415, 422, 429, 500, 502, 503, 504, 508),
    },
    openapi_extra=takes(AnswerRequest, EXAMPLES),
)
async def answer(request: Request, service: DepService, body: DepQuestion) -> Response:
    question = question_of(request, body)
    if body.stream:
        return EventStream(request, service, question)
    made = await service.answerer.answer(question)
    headers = marked(request, [made.selection])
    name = new_name()
    note(request, service, name, made)
    return Response(write_json(render(name, made)), headers=headers, media_type="application/json")


@router.post(
    "/answer/{answer_id}/feedback",
    summary="Send feedback: whether an answer was useful, and which source was right",
    status_code=204,
    responses=documented(400, 401, 404, 409, 413, 415, 422, 500, 503, 507),
    openapi_extra=takes(FeedbackRequest, {"up": {"value": {"useful": "up"}}}),
)
async def feedback(
    request: Request, answer_id: str, service: DepService, verdict: DepVerdict
) -> Response:
    if service.feedback is None:
        raise NoFeedback("feedback is not stored: feedback_file is not set")
    if await service.feedback.take(answer_id, verdict):
        wiring_of(request.app).observe(FeedbackGiven(verdict.useful))
    return Response(status_code=204)
