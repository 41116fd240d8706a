"""Traces in OpenInference's words, for whoever collects them; here, nobody does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Protocol

from app.answer.answered import Answer, Found
from app.llm import Prompt, Spoken
from app.retrieval.store import Candidate

Kind = Literal["CHAIN", "RETRIEVER", "RERANKER", "LLM"]


class Span(Protocol):
    def set(self, facts: Mapping[str, Any]) -> None:
        """What is known of a step."""

    def tell(self, content: Mapping[str, Any]) -> None:
        """What was said in it; kept only where content is switched on."""


class Tracer(Protocol):
    def span(self, name: str, kind: Kind, parent: Span | None) -> Any:
        """A context manager that gives a Span."""

    def close(self) -> None: ...


class NoSpan:
    def set(self, facts: Mapping[str, Any]) -> None: ...

    def tell(self, content: Mapping[str, Any]) -> None: ...


class NoTracer:
    @contextmanager
    def span(self, name: str, kind: Kind, parent: Span | None) -> Iterator[Span]:  # noqa: ARG002
        yield NoSpan()

    def close(self) -> None: ...


def tell_retrieved(span: Span, queries: Sequence[str], found: Sequence[Candidate]) -> None:
    span.set({"retrieval.count": len(found)})
    span.set(documents("retrieval.documents", [(one.id, one.score) for one in found]))
    span.tell({"input.value": "\n".join(queries)})
    span.tell(contents("retrieval.documents", [one.text for one in found]))


def tell_reranked(span: Span, model: str, query: str, final_k: int, found: Found) -> None:
    span.set({"reranker.model_name": model, "reranker.top_k": final_k})
    span.set(documents("reranker.input_documents", [(one.id, None) for one in found.candidates]))
    chosen = [(one.candidate.id, one.score) for one in found.sources]
    span.set(documents("reranker.output_documents", chosen))
    span.tell({"reranker.query": query})
    span.tell(contents("reranker.output_documents", found.texts))


def tell_spoken(span: Span, prompt: Prompt, text: str, spoken: Spoken) -> None:
    span.set(
        {
            "llm.model_name": spoken.llm,
            "llm.token_count.prompt": spoken.tokens.prompt,
            "llm.token_count.completion": spoken.tokens.completion,
            "llm.token_count.total": spoken.tokens.total,
        }
    )
    turns = [("system", prompt.system), *((turn.role, turn.text) for turn in prompt.turns)]
    for name, said in (("input", turns), ("output", [("assistant", text)])):
        for place, (role, content) in enumerate(said):
            message = f"llm.{name}_messages.{place}.message"
            span.tell({f"{message}.role": role, f"{message}.content": content})


def tell_answered(span: Span, answer: Answer) -> None:
    span.set({"rerankd.outcome": answer.outcome, "rerankd.cached": answer.cached})
    span.tell({"input.value": answer.question.text, "output.value": answer.text})


def documents(prefix: str, known: Sequence[tuple[str, float | None]]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for place, (name, score) in enumerate(known):
        facts[f"{prefix}.{place}.document.id"] = name
        if score is not None:
            facts[f"{prefix}.{place}.document.score"] = score
    return facts


def contents(prefix: str, texts: Sequence[str]) -> dict[str, Any]:
    return {f"{prefix}.{place}.document.content": text for place, text in enumerate(texts)}
