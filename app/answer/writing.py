"""From a model's words to an answer."""

from __future__ import annotations

from collections.abc import Sequence

from app.answer.answered import Answer, Found
from app.answer.cache import key_of
from app.answer.citations import Reader
from app.answer.prompt import NO_ANSWER
from app.answer.run import Run
from app.errors import UpstreamFailed
from app.llm import Spoken

FINISHES = {
    "length": "the answer was cut: it reached the most tokens that an answer may take",
    "filter": "the language model's own filter ended the answer",
}


def written(run: Run, found: Found, used: int, reader: Reader, spoken: Spoken) -> Answer:
    if not reader.text.strip():
        raise UpstreamFailed(f"{spoken.llm} only cited", upstream=spoken.llm)
    known = reader.text.strip().rstrip(".") != NO_ANSWER.rstrip(".")
    run.tokens += spoken.tokens
    run.warnings += spoken.passed_over
    if spoken.finish in FINISHES:
        run.warnings.append(FINISHES[spoken.finish])
    if reader.invented:
        named = ", ".join(f"[{one}]" for one in sorted(set(reader.invented)))
        run.warnings.append(f"citations of passages that are not there were dropped: {named}")
    if known and not reader.citations:
        run.warnings.append("the answer cites no passage")
    return Answer(
        run.question,
        found,
        "answered" if known else "not_found",
        reader.text,
        tuple(reader.citations),
        tuple(reader.invented),
        used=used,
        llm=spoken.llm,
        tokens=run.tokens,
    )


def answer_key(run: Run, found: Found, settings: Sequence[str]) -> bytes:
    """All that the model would be told, and by whom it is asked: another text of a passage is
    another question."""
    question = run.question
    passages = [part for one in found.sources for part in (one.candidate.id, one.candidate.text)]
    said = [part for turn in question.conversation for part in (turn.role, turn.text)]
    return key_of([question.caller, *settings, question.text, str(len(said)), *said, *passages])
