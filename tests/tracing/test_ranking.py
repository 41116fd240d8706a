"""The span of a ranking: what it has, what it leaves out, and what nobody prepares."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.rerank.query import Document, Query, Ranking, Result, Usage
from app.tracing.documents import MAX_CHARS, MAX_DOCUMENTS
from app.tracing.otel import MAX_ATTRIBUTES, OtelTracer
from app.tracing.ranking import trace_query, trace_ranking
from app.tracing.tracer import NoSpan, TraceSpan, caller_trace

QUERY = Query(
    "how long is a book lent",
    [Document("The library opens at nine."), Document("Four weeks.", id="rules-7")],
    top_n=1,
)
RANKING = Ranking(
    QUERY, [Result(1, 0.9), Result(0, 0.1)], [2.2, -2.2], Usage(tokens=30, truncated=[0]), model="m"
)


@contextmanager
def traced(spans: list[Mapping[str, Any]], *, content: bool = True) -> Iterator[TraceSpan]:
    kept = InMemorySpanExporter()
    tracer = OtelTracer(SimpleSpanProcessor(kept), content=content)
    with tracer.span("rerank", "RERANKER", None) as span:
        yield span
    tracer.close()
    spans += [span.attributes or {} for span in kept.get_finished_spans()]


def trace(query: Query, ranking: Ranking | None, *, content: bool = True) -> Mapping[str, Any]:
    spans: list[Mapping[str, Any]] = []
    with traced(spans, content=content) as span:
        trace_query(span, query)
        if ranking is not None:
            trace_ranking(span, ranking)
    (attributes,) = spans
    return attributes


def test_a_ranking_has_its_documents_before_and_after() -> None:
    attributes = trace(QUERY, RANKING)
    assert attributes["openinference.span.kind"] == "RERANKER"
    assert (attributes["reranker.model_name"], attributes["reranker.top_k"]) == ("m", 1)
    assert attributes["reranker.query"] == attributes["input.value"] == QUERY.text
    assert attributes["reranker.input_documents.0.document.id"] == "0"
    assert attributes["reranker.input_documents.1.document.id"] == "rules-7"
    assert attributes["reranker.output_documents.0.document.id"] == "rules-7"
    assert attributes["reranker.output_documents.0.document.score"] == 0.9
    assert attributes["reranker.output_documents.0.document.content"] == "Four weeks."
    assert json.loads(attributes["output.value"])[1]["text"] == "The library opens at nine."
    assert (attributes["rerankd.tokens"], attributes["rerankd.truncated"]) == (30, 1)


def test_a_ranking_without_content_has_ids_and_scores_only() -> None:
    attributes = trace(QUERY, RANKING, content=False)
    assert attributes["reranker.output_documents.0.document.score"] == 0.9
    shown = json.dumps(dict(attributes))
    for text in ("how long", "opens at nine", "Four weeks"):
        assert text not in shown


def test_a_request_that_failed_has_the_documents_that_it_came_with() -> None:
    attributes = trace(QUERY, None)
    assert attributes["reranker.input_documents.1.document.content"] == "Four weeks."
    assert "reranker.output_documents.0.document.id" not in attributes


def test_the_longest_request_fits_its_span() -> None:
    documents = [Document("x" * 3 * MAX_CHARS, id=f"d{number}") for number in range(1000)]
    query = Query("q", documents, top_n=1000)
    results = [Result(number, 0.5) for number in range(1000)]
    attributes = trace(query, Ranking(query, results, [0.0] * 1000, model="m"))
    assert attributes["rerankd.documents"] == 1000
    assert attributes["openinference.span.kind"] == "RERANKER"
    ids = [name for name in attributes if name.startswith("reranker.output") and "id" in name]
    assert len(ids) == MAX_DOCUMENTS
    text = attributes["reranker.input_documents.0.document.content"]
    assert len(text) == MAX_CHARS + 1
    assert len(attributes) < MAX_ATTRIBUTES


def test_a_limit_of_the_operator_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "5")
    assert len(trace(QUERY, RANKING)) == 5


def test_nothing_is_prepared_for_a_span_that_is_not_kept() -> None:
    class Unread:
        def __getattr__(self, name: str) -> object:
            raise AssertionError(name)

    trace_query(NoSpan(), Unread())  # type: ignore[arg-type]
    trace_ranking(NoSpan(), Unread())  # type: ignore[arg-type]


def test_a_request_without_the_header_begins_a_trace() -> None:
    assert caller_trace({}) is None
    caller = caller_trace({"traceparent": "00-a-b-01", "tracestate": "x=1"})
    assert caller == ("00-a-b-01", "x=1")


def test_a_header_that_makes_no_sense_begins_a_trace() -> None:
    kept = InMemorySpanExporter()
    tracer = OtelTracer(SimpleSpanProcessor(kept), content=False)
    with tracer.span("rerank", "RERANKER", caller_trace({"traceparent": "nonsense"})):
        pass
    (span,) = kept.get_finished_spans()
    assert span.parent is None
