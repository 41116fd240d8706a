"""One question on its way: its time limit, what each stage took, and what there is to warn of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.answer.answered import Answer, Found, StageDone
from app.answer.question import Question
from app.answer.tracing import Kind, Span, Tracer
from app.errors import DeadlineExceeded, UpstreamTimeout
from app.llm import OnText, Prompt, Spoken, Tokens
from app.llm.chain import Chain

Observe = Callable[[StageDone | Answer], None]
# Is given what was found, then the answer piece by piece. It takes each at once and cannot wait, so
# a slow reader costs memory for what is unread, and neither a model's slot nor anybody's time.
Listener = Callable[[Found | str], None]

KEPT_BACK = 0.1  # of the time limit, and a second at most: for an extract when models are too slow


class Run:
    def __init__(
        self,
        question: Question,
        limit: float,
        tracer: Tracer,
        root: Span,
        observe: Observe,
        listener: Listener | None = None,
    ) -> None:
        self.question = question
        self.warnings = question.warnings
        self.times: dict[str, float] = {}
        self.tokens = Tokens()
        self.streams = listener is not None
        self.began = False  # some of the answer is out and cannot be taken back
        self._limit = limit
        self._tracer = tracer
        self._root = root
        self._observe = observe
        self._listener = listener
        self._now = asyncio.get_running_loop().time
        self._started = self._now()
        self._due = self._started + limit
        self._llm_due = self._due - min(1.0, KEPT_BACK * limit)

    @property
    def remaining(self) -> float:
        """Seconds, or DeadlineExceeded: a limit of 0 would mean none to some who are asked."""
        left = self._due - self._now()
        if left <= 0:
            raise self.late()
        return left

    @property
    def elapsed(self) -> float:
        return self._now() - self._started

    @contextmanager
    def stage(self, name: str, kind: Kind) -> Iterator[Span]:
        started, outcome = self._now(), "client_gone"
        try:
            with self._tracer.span(name, kind, self._root) as span:
                yield span
            outcome = "ok"
        except Exception:
            outcome = "failed"
            raise
        finally:
            seconds = self._now() - started
            self.times[name] = self.times.get(name, 0.0) + seconds
            self._observe(StageDone(name, outcome, seconds))

    def within(self) -> asyncio.Timeout:
        return asyncio.timeout_at(self._due)

    def late(self) -> DeadlineExceeded:
        return DeadlineExceeded(f"not answered within {self._limit * 1000:.0f} ms")

    def show(self, event: Found | str) -> None:
        if event == "":  # a piece that the citations hold back
            return
        self.began = self.began or isinstance(event, str)
        if self._listener is not None:
            self._listener(event)

    async def complete(
        self, chain: Chain, prompt: Prompt, on_text: OnText, *, stream: bool
    ) -> Spoken:
        """Early enough that an extract can still be made."""
        left = self._llm_due - self._now()
        try:
            async with asyncio.timeout_at(self._llm_due):
                return await chain.complete(prompt, on_text, stream=stream, left=left)
        except TimeoutError as error:
            sentence = "the language models did not answer within the time limit"
            raise UpstreamTimeout(sentence, upstream="llm") from error
