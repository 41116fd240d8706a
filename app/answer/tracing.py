"""What the spans of an answer contain, by the conventions of OpenInference."""

from __future__ import annotations

from collections.abc import Sequence

from app.answer.extract import Extract
from app.answer.result import Answer, Selection
from app.llm import ChainCompletion, Prompt
from app.retrieval.store import Candidate
from app.tracing.documents import TracedDocument, trace_documents, trace_output
from app.tracing.tracer import TraceSpan


def trace_retrieval(
    span: TraceSpan, queries: Sequence[str], candidates: Sequence[Candidate]
) -> None:
    if not span.records:
        return
    span.set({"rerankd.documents": len(candidates)})
    trace_documents(
        span,
        "retrieval.documents",
        [TracedDocument(each.id, each.text, each.score, each.metadata) for each in candidates],
    )
    span.set_content({"input.value": "\n".join(queries)})


def trace_reranking(
    span: TraceSpan, model: str, query: str, final_k: int, selection: Selection
) -> None:
    if not span.records:
        return
    candidates = selection.candidates
    span.set(
        {
            "reranker.model_name": model,
            "reranker.top_k": final_k,
            "rerankd.documents": len(candidates),
        }
    )
    span.set_content({"reranker.query": query, "input.value": query})
    trace_documents(
        span,
        "reranker.input_documents",
        [TracedDocument(each.id, each.text) for each in candidates],
    )
    best = [
        TracedDocument(each.candidate.id, each.candidate.text, each.score, each.candidate.metadata)
        for each in selection.sources
    ]
    trace_documents(span, "reranker.output_documents", best)
    trace_output(span, best)


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
    span.set_content({"input.value": turns[-1][1], "output.value": text})


def trace_extract(span: TraceSpan, question: str, made: Extract) -> None:
    span.set({"reranker.model_name": made.by})
    span.set_content(
        {"reranker.query": question, "input.value": question, "output.value": made.text}
    )


def trace_answer(span: TraceSpan, answer: Answer) -> None:
    span.set({"rerankd.outcome": answer.outcome, "rerankd.cached": answer.cached})
    span.set_content({"input.value": answer.question.text, "output.value": answer.text})
