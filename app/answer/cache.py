"""Answers that may be given again: by the question, the texts of the passages, and the settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b

from app.answer.question import Question
from app.answer.result import Answer, Selection
from app.ttl_cache import TTLCache

MAX_ANSWERS = 1000
AnswerCache = TTLCache[bytes, Answer]


def answer_cache(seconds: float, clock: Callable[[], float], max_bytes: int) -> AnswerCache:
    return TTLCache(seconds, clock, max_entries=MAX_ANSWERS, max_bytes=max_bytes)


def answer_key(question: Question, selection: Selection, settings: Sequence[str]) -> bytes:
    """Everything that the model would read, and the caller: a changed passage changes the key."""
    candidates = [source.candidate for source in selection.sources]
    passages = [part for candidate in candidates for part in (candidate.id, candidate.text)]
    turns = [part for turn in question.conversation for part in (turn.role, turn.text)]
    return key_of([question.caller, *settings, question.text, str(len(turns)), *turns, *passages])


def key_of(parts: Sequence[str]) -> bytes:
    """Lengths keep ("ab", "c") and ("a", "bc") apart."""
    digest = blake2b(digest_size=16)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "little") + raw)
    return digest.digest()
