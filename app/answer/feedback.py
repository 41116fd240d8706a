"""What people say of answers, as lines that `rerankd eval` and `rerankd finetune` read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from pydantic_core import to_json

from app.answer.answered import Answer
from app.answer.cache import Recent
from app.answer.candidate import Candidate
from app.errors import InvalidRequest, LoadFailed, ServiceError

KEPT_SECONDS = 86_400.0
KEPT = 500  # answers, with their candidates


class UnknownAnswer(ServiceError):
    """No answer of that id, or it is too long ago."""


class NoFeedback(ServiceError):
    """It is not kept here."""


class FeedbackLost(ServiceError):
    """The file could not be written."""


@dataclass(frozen=True, slots=True)
class Verdict:
    useful: Literal["up", "down"]
    source: str | None = None  # the id of the right one
    comment: str | None = None


class Feedback:
    """Remembers recent answers, for a verdict names its answer by id alone."""

    def __init__(self, file: Path, clock: Callable[[], float]) -> None:
        try:
            append(file, b"")
        except OSError as error:
            reason = error.strerror
            raise LoadFailed(f"feedback_file {file} cannot be written: {reason}") from error
        self._file = file
        self._answers: Recent[Answer] = Recent(KEPT_SECONDS, clock, KEPT)

    def remember(self, name: str, answer: Answer) -> None:
        if answer.found.candidates:
            self._answers.put(name, answer)

    async def take(self, name: str, verdict: Verdict) -> None:
        answer = self._answers.get(name)
        if answer is None:
            raise UnknownAnswer("there is no answer of this id, or it was given too long ago")
        line = to_json(row(name, answer, verdict)) + b"\n"
        try:
            await asyncio.to_thread(append, self._file, line)
        except OSError as error:
            raise FeedbackLost("the feedback could not be written") from error


def append(file: Path, line: bytes) -> None:
    with file.open("ab") as lines:
        lines.write(line)


def row(name: str, answer: Answer, verdict: Verdict) -> dict[str, Any]:
    """Candidates in the order of the first stage, each once, and those that are relevant."""
    pool = {one.id: one for one in answer.found.candidates if one.text.strip()}
    if verdict.source is not None and verdict.source not in pool:
        raise InvalidRequest("source: this answer had no candidate of that id", field="source")
    return {
        "id": uuid4().hex,
        "query": answer.question.in_context,
        "documents": [{"id": stamped(one), "text": one.text} for one in pool.values()],
        "relevant": [stamped(pool[one]) for one in relevant(answer, verdict)],
        "answer": name,
        "useful": verdict.useful,
        **({"comment": verdict.comment} if verdict.comment else {}),
        "outcome": answer.outcome,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def relevant(answer: Answer, verdict: Verdict) -> list[str]:
    """The source that was named; or, of an answer that was good, those that it cites."""
    if verdict.source is not None:
        return [verdict.source]
    if verdict.useful == "down":
        return []
    places = {place for citation in answer.citations for place in citation.sources}
    return [answer.found.sources[place - 1].candidate.id for place in sorted(places)]


def stamped(candidate: Candidate) -> str:
    """With its text's mark: a passage that changes under its id is another document."""
    mark = blake2b(candidate.text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{candidate.id}@{mark}"
