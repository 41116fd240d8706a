"""A list that is too long for one request is sent in parts.

A cross-encoder scores each document alone, so the scores of parts compare. They do not if the parts
were scored by different models, for example because a fallback took over in between: such parts are
sent again once, and then the call fails. Another service may also look at the whole list, which
cannot be known here: a warning of the ranking says so.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rerankd.conversation import Call, Conversation, Deadline, ask
from rerankd.errors import (
    IncomparableScores,
    InvalidInput,
    InvalidRequest,
    ServiceError,
    UnreadableResponse,
)
from rerankd.fields import Fields, fields_of
from rerankd.ranking import (
    Diagnostics,
    DocumentT,
    Ranking,
    Reading,
    RerankOptions,
    Result,
    Usage,
    read_diagnostics,
    read_reading,
    sum_of,
)
from rerankd.retries import RetryPolicy

PATH = "rerank"
INDEXED = re.compile(r"\bdocuments\[(\d+)\]")


class Limits:
    """What a service was seen to accept in one request; kept by the client between calls."""

    def __init__(self) -> None:
        self.documents: int | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """The answer for the documents from `start`; indices are those of the whole list."""

    start: int
    size: int
    id: str
    model: str
    reranked_by: str | None
    score: str
    scores: Sequence[tuple[int, float, Reading | None]]
    tokens: int
    truncated: tuple[int, ...]
    failed: tuple[int, ...]
    warnings: tuple[str, ...]
    diagnostics: Diagnostics | None

    @property
    def ranker(self) -> str:
        return self.reranked_by or self.model


def rerank(
    query: str,
    documents: Sequence[DocumentT],
    top_n: int | None,
    options: RerankOptions,
    limits: Limits,
    policy: RetryPolicy,
    deadline: Deadline,
) -> Conversation[Ranking[DocumentT]]:
    request = Request(query, texts_of(documents), top_n, checked(options))
    parts = yield from all_parts(request, limits, policy, deadline)
    parts = yield from by_same_ranker(request, parts, policy, deadline)
    return merged(documents, top_n, parts)


class Request:
    """The whole request, of which parts are sent."""

    def __init__(
        self, query: str, texts: Sequence[str], top_n: int | None, options: dict[str, Any]
    ) -> None:
        self.texts = texts
        self._body = {"query": query, **options}
        if top_n is not None:
            self._body["top_n"] = top_n

    def part(self, start: int, size: int) -> Call:
        # The best of the whole list are among the best of their parts, so `top_n` is sent too.
        return Call(PATH, {**self._body, "documents": self.texts[start : start + size]})


def texts_of(documents: Sequence[object]) -> list[str]:
    """Only texts are sent: ids and metadata stay here, and come back with the results."""
    if isinstance(documents, str):
        raise InvalidInput("documents: is a text, not a list of documents")
    texts = []
    for index, document in enumerate(documents):
        try:
            text = document if isinstance(document, str) else document["text"]  # type: ignore[index]
        except (TypeError, KeyError, IndexError):
            text = None
        if not isinstance(text, str):
            raise InvalidInput(f"documents[{index}]: is neither a text nor a mapping with `text`")
        texts.append(text)
    return texts


def checked(options: RerankOptions) -> dict[str, Any]:
    """The service ignores keys that it does not know, so a misspelt option would do nothing."""
    unknown = options.keys() - RerankOptions.__annotations__.keys()
    if unknown:
        known_names = ", ".join(sorted(RerankOptions.__annotations__))
        raise InvalidInput(f"{min(unknown)}: no such option; available: {known_names}")
    return {name: value for name, value in options.items() if value is not None}


def all_parts(
    request: Request, limits: Limits, policy: RetryPolicy, deadline: Deadline
) -> Conversation[list[Part]]:
    """The parts one after another, so that other callers are served in between."""
    total = len(request.texts)
    waiting = deque(ranges(0, total, limits.documents or max(total, 1)))
    parts: list[Part] = []
    while waiting:
        start, size = waiting.popleft()
        try:
            parts.append((yield from one_part(request, start, size, policy, deadline)))
        except InvalidRequest as error:
            smaller = smaller_size(error, size)
            if smaller is None:
                raise moved(error, start) from error
            if error.status == 422 and error.limit == smaller:
                limits.documents = smaller
            waiting.extendleft(reversed(ranges(start, size, smaller)))
    return parts


def ranges(start: int, size: int, step: int) -> list[tuple[int, int]]:
    """The start and size of each part; an empty list is one part, which the service refuses."""
    end = start + size
    return [(at, min(step, end - at)) for at in range(start, end, step)] or [(start, 0)]


def smaller_size(error: ServiceError, size: int) -> int | None:
    """How many documents to send instead; None if their number is not what was wrong.

    The limit of an error about `documents` is their number, or the tokens that the queue holds,
    which is never less. A body may be too large in bytes, or in values of JSON.
    """
    if size < 2:
        return None
    if error.status == 413:
        return (size + 1) // 2
    if error.field != "documents" or error.limit is None or error.limit < 1:
        return None
    return error.limit if error.limit < size else (size + 1) // 2


def moved(error: InvalidRequest, start: int) -> InvalidRequest:
    """The error with the positions of the caller's list."""

    def shifted(text: str) -> str:
        return INDEXED.sub(lambda match: f"documents[{int(match[1]) + start}]", text)

    problem = error.problem
    field = shifted(problem.field) if problem.field else None
    return InvalidRequest(replace(problem, field=field, detail=shifted(problem.detail)))


def one_part(
    request: Request, start: int, size: int, policy: RetryPolicy, deadline: Deadline
) -> Conversation[Part]:
    response = yield from ask(request.part(start, size), policy, deadline)
    return read_part(fields_of(response.content), start, size)


def read_part(fields: Fields, start: int, size: int) -> Part:
    def read_score(result: Fields) -> tuple[int, float, Reading | None]:
        index = result.whole("index")
        if not 0 <= index < size:
            raise UnreadableResponse(f"the response ranks document {index} of {size}")
        reading = read_reading(result.within("reading")) if "reading" in result.values else None
        return start + index, result.number("relevance_score"), reading

    usage = fields.within("usage")
    scores = fields.items("results", read_score)
    if len({index for index, _, _ in scores}) != len(scores):
        raise UnreadableResponse("the response ranks a document twice")
    measured = fields.values.get("diagnostics") is not None
    return Part(
        start=start,
        size=size,
        id=fields.text("id"),
        model=fields.text("model"),
        reranked_by=fields.optional("reranked_by", fields.text),
        score=fields.text("score"),
        scores=scores,
        tokens=usage.whole("total_tokens"),
        truncated=tuple(start + index for index in usage.wholes("truncated_documents")),
        failed=tuple(start + index for index in usage.wholes("failed_documents")),
        warnings=fields.texts("warnings"),
        diagnostics=read_diagnostics(fields.within("diagnostics")) if measured else None,
    )


def by_same_ranker(
    request: Request, parts: Sequence[Part], policy: RetryPolicy, deadline: Deadline
) -> Conversation[list[Part]]:
    """Parts of another ranker than the last part's are sent again, once."""
    ranker, same = parts[-1].ranker, []
    for part in parts:
        again = part
        if part.ranker != ranker:
            again = yield from one_part(request, part.start, part.size, policy, deadline)
        if again.ranker != ranker:
            raise IncomparableScores(
                f"the parts of the list were scored by {again.ranker} and by {ranker}; "
                "send at most as many documents as one request holds"
            )
        same.append(again)
    return same


def merged(
    documents: Sequence[DocumentT], top_n: int | None, parts: Sequence[Part]
) -> Ranking[DocumentT]:
    """Best first; equal scores in the order of the list. One part keeps the service's order."""
    scores = [score for part in parts for score in part.scores]
    if len(parts) > 1:
        scores.sort(key=lambda score: (-score[1], score[0]))
    warnings = [warning for part in parts for warning in part.warnings]
    if len(parts) > 1 and parts[0].reranked_by:
        warnings.append(
            f"{parts[0].reranked_by} scored the list in {len(parts)} parts; if it compares the "
            "documents of a request with each other, scores of different parts do not compare"
        )
    return Ranking(
        id=parts[0].id,
        model=parts[0].model,
        score=parts[0].score,
        results=tuple(
            Result(index, score, documents[index], reading)
            for index, score, reading in scores[: top_n or None]
        ),
        usage=Usage(
            sum(part.tokens for part in parts),
            len(documents),
            tuple(index for part in parts for index in part.truncated),
            tuple(index for part in parts for index in part.failed),
        ),
        reranked_by=parts[0].reranked_by,
        warnings=tuple(dict.fromkeys(warnings)),
        diagnostics=sum_of([part.diagnostics for part in parts if part.diagnostics]),
        parts=len(parts),
    )
