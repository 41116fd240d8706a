"""One question on its way: its time limit, the time of each stage, and its warnings."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from app.answer.question import Question
from app.answer.result import Selection
from app.deadline import Deadline
from app.errors import UpstreamTimeout
from app.events import AnswerStageDone, Observe
from app.llm import ChainCompletion, OnText, Prompt, TokenUsage
from app.llm.fallback_chain import FallbackChain
from app.tracing.tracer import SpanKind, Tracer, TraceSpan

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
        self.deadline = Deadline.after(limit)
        self._tracer = tracer
        self._root = root
        self._observe = observe
        self._listener = listener
        self._for_extract = min(MAX_SECONDS_FOR_EXTRACT, SHARE_FOR_EXTRACT * limit)

    @property
    def remaining(self) -> float:
        """Seconds, or DeadlineExceeded: some services read a limit of 0 as no limit."""
        left = self.deadline.remaining
        if left <= 0:
            raise self.deadline.exceeded()
        return left

    @property
    def elapsed(self) -> float:
        return self.deadline.seconds - self.deadline.remaining

    @contextmanager
    def stage(self, name: str, kind: SpanKind) -> Iterator[TraceSpan]:
        started, outcome = self.elapsed, "client_gone"
        try:
            with self._tracer.span(name, kind, self._root) as span:
                yield span
            outcome = "ok"
        except Exception:
            outcome = "failed"
            raise
        finally:
            seconds = self.elapsed - started
            self.times[name] = self.times.get(name, 0.0) + seconds
            self._observe(AnswerStageDone(name, outcome, seconds))

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
        left = self.deadline.remaining - self._for_extract
        try:
            async with asyncio.timeout(left):
                return await chain.complete(prompt, on_text, stream=stream, left=left)
        except TimeoutError as error:
            sentence = "the language models did not answer within the time limit"
            raise UpstreamTimeout(sentence, upstream="llm") from error
