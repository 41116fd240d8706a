"""Traces of an answer by the conventions of OpenInference; by default they go nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, Protocol

from app.answer.result import Answer, Selection
from app.llm import ChainCompletion, Prompt
from app.observing import Once, harmless
from app.retrieval.store import Candidate

SpanKind = Literal["CHAIN", "RETRIEVER", "RERANKER", "LLM"]
Attributes = Mapping[str, str | bool | int | float]


class TraceSpan(Protocol):
    def set(self, attributes: Attributes) -> None:
        """Facts about a step."""

    def set_content(self, attributes: Attributes) -> None:
        """Texts of a step; kept only where content is switched on."""


class Tracer(Protocol):
    def span(
        self, name: str, kind: SpanKind, parent: TraceSpan | None
    ) -> AbstractContextManager[TraceSpan]: ...

    def close(self) -> None: ...


class NoSpan:
    def set(self, attributes: Attributes) -> None: ...

    def set_content(self, attributes: Attributes) -> None: ...


class NoTracer:
    @contextmanager
    def span(
        self,
        name: str,  # noqa: ARG002
        kind: SpanKind,  # noqa: ARG002
        parent: TraceSpan | None,  # noqa: ARG002
    ) -> Iterator[TraceSpan]:
        yield NoSpan()

    def close(self) -> None: ...


class HarmlessSpan:
    def __init__(self, inner: TraceSpan, once: Once) -> None:
        self.inner = inner
        self._once = once

    def set(self, attributes: Attributes) -> None:
        harmless(self.inner.set, self._once)(attributes)

    def set_content(self, attributes: Attributes) -> None:
        harmless(self.inner.set_content, self._once)(attributes)


class HarmlessTracer:
    """A tracer that cannot break an answer, around one that may."""

    def __init__(self, tracer: Tracer) -> None:
        self.inner = tracer
        self._once = Once(type(tracer).__name__)

    @contextmanager
    def span(self, name: str, kind: SpanKind, parent: TraceSpan | None) -> Iterator[TraceSpan]:
        inner_parent = parent.inner if isinstance(parent, HarmlessSpan) else parent
        manager: AbstractContextManager[TraceSpan] | None = None
        span: TraceSpan = NoSpan()
        try:
            manager = self.inner.span(name, kind, inner_parent)
            span = manager.__enter__()
        except Exception as error:  # noqa: BLE001 (the answer goes on without this span)
            manager = None
            self._once.failed(error)
        try:
            yield HarmlessSpan(span, self._once)
        except BaseException as error:
            self._leave(manager, error)
            raise
        self._leave(manager, None)

    def _leave(
        self, manager: AbstractContextManager[TraceSpan] | None, error: BaseException | None
    ) -> None:
        """The span receives the error, which stays the one that is raised."""
        if manager is None:
            return
        try:
            trace = error.__traceback__ if error is not None else None
            manager.__exit__(type(error) if error is not None else None, error, trace)
        except Exception as raised:  # noqa: BLE001 (as above)
            self._once.failed(raised)

    def close(self) -> None:
        harmless(self.inner.close, self._once)()


def trace_retrieval(
    span: TraceSpan, queries: Sequence[str], candidates: Sequence[Candidate]
) -> None:
    span.set({"retrieval.count": len(candidates)})
    scores = [(candidate.id, candidate.score) for candidate in candidates]
    span.set(documents("retrieval.documents", scores))
    span.set_content({"input.value": "\n".join(queries)})
    span.set_content(contents("retrieval.documents", [each.text for each in candidates]))


def trace_reranking(
    span: TraceSpan, model: str, query: str, final_k: int, selection: Selection
) -> None:
    span.set({"reranker.model_name": model, "reranker.top_k": final_k})
    candidates = [(candidate.id, None) for candidate in selection.candidates]
    span.set(documents("reranker.input_documents", candidates))
    sources = [(source.candidate.id, source.score) for source in selection.sources]
    span.set(documents("reranker.output_documents", sources))
    span.set_content({"reranker.query": query})
    span.set_content(contents("reranker.output_documents", selection.texts))


def trace_completion(
    span: TraceSpan, prompt: Prompt, text: str, completion: ChainCompletion
) -> None:
    span.set(
        {
            "llm.model_name": completion.llm,
            "llm.token_count.prompt": completion.tokens.prompt,
            "llm.token_count.completion": completion.tokens.completion,
            "llm.token_count.total": completion.tokens.total,
        }
    )
    turns = [("system", prompt.system), *((turn.role, turn.text) for turn in prompt.turns)]
    for name, messages in (("input", turns), ("output", [("assistant", text)])):
        for index, (role, content) in enumerate(messages):
            message = f"llm.{name}_messages.{index}.message"
            span.set_content({f"{message}.role": role, f"{message}.content": content})


def trace_answer(span: TraceSpan, answer: Answer) -> None:
    span.set({"rerankd.outcome": answer.outcome, "rerankd.cached": answer.cached})
    span.set_content({"input.value": answer.question.text, "output.value": answer.text})


def documents(prefix: str, scores: Sequence[tuple[str, float | None]]) -> Attributes:
    attributes: dict[str, str | float] = {}
    for index, (name, score) in enumerate(scores):
        attributes[f"{prefix}.{index}.document.id"] = name
        if score is not None:
            attributes[f"{prefix}.{index}.document.score"] = score
    return attributes


def contents(prefix: str, texts: Sequence[str]) -> Attributes:
    return {f"{prefix}.{index}.document.content": text for index, text in enumerate(texts)}
