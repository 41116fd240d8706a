"""What the span of a ranking contains, by the conventions of OpenInference."""

from __future__ import annotations

from app.rerank.query import Query, Ranking
from app.tracing.documents import TracedDocument, trace_documents, trace_output
from app.tracing.tracer import TraceSpan


def trace_query(span: TraceSpan, query: Query) -> None:
    """Before the ranking: a request that is refused or fails has a span too."""
    if not span.records:
        return
    span.set({"rerankd.documents": len(query.documents)})
    if query.top_n is not None:
        span.set({"reranker.top_k": query.top_n})
    span.set_content({"reranker.query": query.text, "input.value": query.text})
    documents = [traced(query, index) for index in range(len(query.documents))]
    trace_documents(span, "reranker.input_documents", documents)


def trace_ranking(span: TraceSpan, ranking: Ranking) -> None:
    if not span.records:
        return
    span.set(
        {
            "reranker.model_name": ranking.by or ranking.model,
            "rerankd.tokens": ranking.usage.tokens,
            "rerankd.truncated": len(ranking.usage.truncated),
        }
    )
    best = [traced(ranking.query, result.index, result.score) for result in ranking.results]
    trace_documents(span, "reranker.output_documents", best)
    trace_output(span, best)


def traced(query: Query, index: int, score: float | None = None) -> TracedDocument:
    """A document without an id has its position as the name."""
    document = query.documents[index]
    return TracedDocument(str(index if document.id is None else document.id), document.text, score)
