"""Verdicts on answers, as JSON lines that `rerankd eval` and `rerankd finetune` read.

The first verdict on an answer writes its question and candidates; a later one that says something
else appends a line that replaces what was said, and repeats no candidate. Readers take the last.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from sys import getsizeof
from typing import Any, Literal
from uuid import uuid4

from pydantic_core import to_json

from app.answer.answered import Answer
from app.answer.appending import FileFull, Lines
from app.errors import InvalidRequest, LoadFailed, ServiceError

KEPT_SECONDS = 86_400.0
MAX_ANSWERS = 500
MAX_BYTES = 64 * 2**20  # of their candidates, in memory
MAX_CHANGES = 10  # of a verdict: a caller who goes to and fro must not fill the disk


class UnknownAnswer(ServiceError):
    """No answer of that id, or it is too long ago."""


class NoFeedback(ServiceError):
    """It is not kept here."""


class FeedbackFinal(ServiceError):
    """The verdict on this answer was changed too often."""


class FeedbackLost(ServiceError):
    """The file could not be written."""


class FeedbackFull(ServiceError):
    """The file has reached its limit."""

    def __init__(self, message: str, limit: int) -> None:
        super().__init__(message)
        self.limit = limit


@dataclass(frozen=True, slots=True)
class Verdict:
    useful: Literal["up", "down"]
    source: str | None = None  # the id of the right one
    comment: str | None = None


@dataclass(slots=True)
class Remembered:
    """What a verdict on an answer may speak of, and what was said of it so far."""

    expires: float
    question: str
    outcome: str
    texts: Mapping[str, str]  # of all candidates by id, in the order of the first stage
    cited: Sequence[str]
    verdict: Verdict | None = None
    verdicts: int = 0

    @property
    def bytes(self) -> int:
        return sum(getsizeof(name) + getsizeof(text) for name, text in self.texts.items())


class Feedback:
    """Remembers recent answers, for a verdict names its answer by id alone."""

    def __init__(self, file: Path, clock: Callable[[], float], max_bytes: int = 2**30) -> None:
        try:
            self._lines = Lines(file, max_bytes)
        except OSError as error:
            reason = error.strerror
            raise LoadFailed(f"feedback_file {file} cannot be written: {reason}") from error
        self._max_bytes = max_bytes
        self._clock = clock
        self._answers: OrderedDict[str, Remembered] = OrderedDict()  # the oldest first
        self._held = 0  # bytes
        self._thread = ThreadPoolExecutor(1, "feedback")  # one: verdicts are written in turn

    def remember(self, name: str, answer: Answer) -> None:
        remembered = remembered_of(answer, self._clock() + KEPT_SECONDS)
        if not remembered.texts or remembered.bytes > MAX_BYTES:
            return
        self._answers[name] = remembered
        self._held += remembered.bytes
        while len(self._answers) > MAX_ANSWERS or self._held > MAX_BYTES:
            self._forget(next(iter(self._answers)))

    async def take(self, name: str, verdict: Verdict) -> bool:
        """Whether it says anything new; once this returns, it is on the disk."""
        remembered = self._answers.get(name)
        if remembered is not None and remembered.expires <= self._clock():
            self._forget(name)
            remembered = None
        if remembered is None:
            raise UnknownAnswer("there is no answer of this id, or it was given too long ago")
        if verdict.source is not None and verdict.source not in remembered.texts:
            raise InvalidRequest("source: this answer had no candidate of that id", field="source")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._write, name, remembered, verdict)

    def _write(self, name: str, remembered: Remembered, verdict: Verdict) -> bool:
        if verdict == remembered.verdict:
            return False
        if remembered.verdicts > MAX_CHANGES:
            raise FeedbackFinal(
                f"the verdict on this answer was changed {MAX_CHANGES} times and is final"
            )
        try:
            self._lines.append(to_json(row(name, remembered, verdict)) + b"\n")
        except FileFull as error:
            raise FeedbackFull(
                f"the feedback file has reached its limit of {self._max_bytes} bytes "
                "(feedback_max_mb)",
                self._max_bytes,
            ) from error
        except OSError as error:
            raise FeedbackLost("the feedback could not be written") from error
        remembered.verdict = verdict
        remembered.verdicts += 1
        return True

    def _forget(self, name: str) -> None:
        self._held -= self._answers.pop(name).bytes

    def close(self) -> None:
        self._thread.shutdown(wait=False)


def remembered_of(answer: Answer, expires: float) -> Remembered:
    found = answer.found
    places = {place for citation in answer.citations for place in citation.sources}
    return Remembered(
        expires,
        answer.question.in_context,
        answer.outcome,
        {each.id: each.text for each in found.candidates if each.text.strip()},
        [found.sources[place - 1].candidate.id for place in sorted(places)],
    )


def row(name: str, remembered: Remembered, verdict: Verdict) -> dict[str, Any]:
    """What was said of an answer; with the first verdict also what it was said of."""
    texts = remembered.texts
    said = {
        "answer": name,
        "useful": verdict.useful,
        "relevant": [stamped(each, texts[each]) for each in relevant(remembered, verdict)],
        "comment": verdict.comment,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if remembered.verdict is not None:
        return said
    return {
        "id": uuid4().hex,
        "query": remembered.question,
        "documents": [{"id": stamped(*each), "text": each[1]} for each in texts.items()],
        "outcome": remembered.outcome,
        **said,
    }


def relevant(remembered: Remembered, verdict: Verdict) -> Sequence[str]:
    """The source that was named; or, of an answer that was good, those that it cites."""
    if verdict.source is not None:
        return [verdict.source]
    return remembered.cited if verdict.useful == "up" else []


def stamped(name: str, text: str) -> str:
    """With its text's mark: a passage that changes under its id is another document."""
    mark = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{name}@{mark}"
