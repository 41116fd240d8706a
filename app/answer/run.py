"""One question on its way: its time limit, the time of each stage, and its warnings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.answer.question import Question
from app.answer.result import Answer, Selection, StageDone
from app.answer.tracing import SpanKind, Tracer, TraceSpan
from app.errors import DeadlineExceeded, UpstreamTimeout
from app.llm import ChainCompletion, OnText, Prompt, TokenUsage
from app.llm.fallback_chain import FallbackChain

Observe = Callable[[StageDone | Answer], None]
# Receives the selection, then the answer piece by piece. It takes each at once and cannot wait: a
# slow reader costs memory for what it has not read, but no slot of a model.
Listener = Callable[[Selection | str], None]


def ignore(event: Selection | str) -> None:
    """For an answer that is not streamed."""


SILENT: Listener = ignore
# Of the time limit, kept for an extract when the models are too slow; at most a second.
SHARE_FOR_EXTRACT = 0.1
MAX_SECONDS_FOR_EXTRACT = 1.0


class Run:
    """`began`: a part of the answer is out and cannot be taken back."""

    def __init__(
        self,
        question: Question,
        limit: float,
        tracer: Tracer,
        root: TraceSpan,
        observe: Observe,
        listener: Listener,
    ) -> None:
        self.question = question
        self.warnings = question.warnings
        self.times: dict[str, float] = {}
        self.tokens = TokenUsage()
        self.streams = listener is not SILENT
        self.began = False
        self._limit = limit
        self._tracer = tracer
        self._root = root
        self._observe = observe
        self._listener = listener
        self._now = asyncio.get_running_loop().time
        self._started = self._now()
        self._due = self._started + limit
        self._llm_due = self._due - min(MAX_SECONDS_FOR_EXTRACT, SHARE_FOR_EXTRACT * limit)

    @property
    def remaining(self) -> float:
        """Seconds, or DeadlineExceeded: some services read a limit of 0 as no limit."""
        left = self._due - self._now()
        if left <= 0:
            raise self.late()
        return left

    @property
    def elapsed(self) -> float:
        return self._now() - self._started

    @contextmanager
    def stage(self, name: str, kind: SpanKind) -> Iterator[TraceSpan]:
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

    def show(self, event: Selection | str) -> None:
        # The citations hold back some pieces; what is left of them may be empty.
        if event == "":
            return
        self.began = self.began or isinstance(event, str)
        self._listener(event)

    async def complete(
        self, chain: FallbackChain, prompt: Prompt, on_text: OnText, *, stream: bool
    ) -> ChainCompletion:
        """Ends early enough for an extract."""
        left = self._llm_due - self._now()
        try:
            async with asyncio.timeout_at(self._llm_due):
                return await chain.complete(prompt, on_text, stream=stream, left=left)
        except TimeoutError as error:
            sentence = "the language models did not answer within the time limit"
            raise UpstreamTimeout(sentence, upstream="llm") from error
