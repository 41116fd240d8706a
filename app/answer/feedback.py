"""Verdicts on answers, as JSON lines that `rerankd eval` and `rerankd finetune` read.

The first verdict on an answer writes its question and candidates; a later verdict that differs
appends a line that replaces the one before, without the candidates. Readers take the last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import Literal
from uuid import uuid4

from pydantic_core import to_json

from app.answer.appending import FileFull, LineFile
from app.answer.result import Answer
from app.errors import InvalidRequest, LoadFailed, ServiceError
from app.rerank.query import SCORE_DECIMALS
from app.ttl_cache import TTLCache

KEPT_SECONDS = 86_400.0
MAX_ANSWERS = 500
# Memory for their candidates.
MAX_BYTES = 64 * 2**20
# Of one verdict: a caller who goes to and fro must not fill the disk.
MAX_CHANGES = 10


class UnknownAnswer(ServiceError):
    """No answer has that id, or it is too old."""


class NoFeedback(ServiceError):
    """No feedback is kept here."""


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
    """`source` is the id of the right candidate, if the caller named it."""

    useful: Literal["up", "down"]
    source: str | None = None
    comment: str | None = None


@dataclass(slots=True)
class RememberedAnswer:
    """What a verdict on an answer may refer to, and the verdict so far.

    `texts` are those of all candidates by id, in the order of the first stage. `ranking` has their
    positions in it, from 0, in the reranker's order, and `scores` their probabilities.
    """

    question: str
    outcome: str
    texts: Mapping[str, str]
    cited: Sequence[str]
    model: str = ""
    ranking: Sequence[int] = ()
    scores: Sequence[float] = ()
    verdict: Verdict | None = None
    verdicts: int = 0


class Feedback:
    """Remembers recent answers, because a verdict names its answer by id alone."""

    def __init__(self, file: Path, clock: Callable[[], float], max_bytes: int) -> None:
        try:
            self._lines = LineFile(file, max_bytes)
        except OSError as error:
            reason = error.strerror
            raise LoadFailed(f"feedback_file {file} cannot be written: {reason}") from error
        self._max_bytes = max_bytes
        self._answers: TTLCache[str, RememberedAnswer] = TTLCache(
            KEPT_SECONDS, clock, max_entries=MAX_ANSWERS, max_bytes=MAX_BYTES
        )
        # One thread: verdicts are written in turn.
        self._thread = ThreadPoolExecutor(1, "feedback")

    def remember(self, name: str, answer: Answer) -> None:
        remembered = remembered_of(answer)
        if remembered.texts:
            self._answers.put(name, remembered)

    async def take(self, name: str, verdict: Verdict) -> bool:
        """Whether it differs from the verdict so far; after the return it is on the disk."""
        remembered = self._answers.get(name)
        if remembered is None:
            raise UnknownAnswer("there is no answer of this id, or it was given too long ago")
        if verdict.source is not None and verdict.source not in remembered.texts:
            raise InvalidRequest("source: this answer had no candidate of that id", field="source")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._write, name, remembered, verdict)

    def _write(self, name: str, remembered: RememberedAnswer, verdict: Verdict) -> bool:
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

    def close(self) -> None:
        self._thread.shutdown(wait=False)


def remembered_of(answer: Answer) -> RememberedAnswer:
    selection = answer.selection
    numbers = {number for citation in answer.citations for number in citation.sources}
    texts = {each.id: each.text for each in selection.candidates if each.text.strip()}
    positions = {name: position for position, name in enumerate(texts)}
    ranked: dict[int, float] = {}
    for result in selection.ranked:
        position = positions.get(selection.candidates[result.index].id)
        if position is not None:
            ranked.setdefault(position, round(result.score, SCORE_DECIMALS))
    return RememberedAnswer(
        answer.question.in_context,
        answer.outcome,
        texts,
        [selection.sources[number - 1].candidate.id for number in sorted(numbers)],
        selection.model,
        list(ranked),
        list(ranked.values()),
    )


def row(name: str, remembered: RememberedAnswer, verdict: Verdict) -> dict[str, object]:
    """The verdict; the first one also with the question and the candidates."""
    texts = remembered.texts
    fields: dict[str, object] = {
        "answer": name,
        "useful": verdict.useful,
        "relevant": [stamped(each, texts[each]) for each in relevant(remembered, verdict)],
        "comment": verdict.comment,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if remembered.verdict is not None:
        return fields
    return {
        "id": uuid4().hex,
        "query": remembered.question,
        "documents": [{"id": stamped(*each), "text": each[1]} for each in texts.items()],
        "model": remembered.model,
        "ranking": remembered.ranking,
        "scores": remembered.scores,
        "outcome": remembered.outcome,
        **fields,
    }


def relevant(remembered: RememberedAnswer, verdict: Verdict) -> Sequence[str]:
    """The source that the caller named; or, of a useful answer, the sources that it cites."""
    if verdict.source is not None:
        return [verdict.source]
    return remembered.cited if verdict.useful == "up" else []


def stamped(name: str, text: str) -> str:
    """The id with a hash of the text: a passage that changes under its id is another document."""
    mark = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{name}@{mark}"
