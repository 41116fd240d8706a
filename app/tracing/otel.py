"""OpenTelemetry behind the tracer's two methods. The only room that knows its libraries.

OpenTelemetry's own environment variables set the destination, the sampling and the service name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.tracing.tracer import Attributes, CallerTrace, Parent, SpanKind, TraceSpan

# Above its limit, OpenTelemetry drops what was set first: by default the kind of a span with 50
# documents. A hundred documents of two lists have fewer than this.
MAX_ATTRIBUTES = 2_000
LIMIT_VARIABLES = ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT")


class OtelSpan:
    def __init__(self, span: trace.Span, *, content: bool) -> None:
        self.span = span
        self.records = span.is_recording()
        self.records_content = self.records and content

    def set(self, attributes: Attributes) -> None:
        self.span.set_attributes(attributes)

    def set_content(self, attributes: Attributes) -> None:
        if self.records_content:
            self.span.set_attributes(attributes)


class OtelTracer:
    def __init__(self, processor: SpanProcessor | None = None, *, content: bool) -> None:
        name = os.environ.get("OTEL_SERVICE_NAME", "rerankd")
        self._provider = TracerProvider(
            resource=Resource.create({"service.name": name}), span_limits=span_limits()
        )
        self._provider.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("rerankd")
        self._content = content

    @contextmanager
    def span(self, name: str, kind: SpanKind, parent: Parent) -> Iterator[TraceSpan]:
        """The parent is passed and not looked up: an answer's steps run in any context."""
        span = self._tracer.start_span(
            name, context=context_of(parent), attributes={"openinference.span.kind": kind}
        )
        try:
            yield OtelSpan(span, content=self._content)
        except BaseException as error:
            # Only the name of the error: its text may hold parts of the question.
            span.set_status(trace.StatusCode.ERROR, type(error).__name__)
            raise
        finally:
            span.end()

    def close(self) -> None:
        self._provider.shutdown()


def context_of(parent: Parent) -> Context:
    match parent:
        case OtelSpan():
            return trace.set_span_in_context(parent.span, Context())
        case CallerTrace():
            headers = {"traceparent": parent.traceparent, "tracestate": parent.tracestate}
            return TraceContextTextMapPropagator().extract(headers, Context())
        case _:
            return Context()


def span_limits() -> SpanLimits:
    if any(os.environ.get(variable) for variable in LIMIT_VARIABLES):
        return SpanLimits()
    return SpanLimits(max_span_attributes=MAX_ATTRIBUTES)
