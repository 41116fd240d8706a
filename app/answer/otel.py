"""OpenTelemetry behind the tracer's two methods. The only room that knows its libraries.

OpenTelemetry's own environment variables set the destination, the sampling and the service name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from app.answer.tracing import Attributes, SpanKind, TraceSpan


class OtelSpan:
    def __init__(self, span: trace.Span, *, content: bool) -> None:
        self.span = span
        self._content = content

    def set(self, attributes: Attributes) -> None:
        self.span.set_attributes(attributes)

    def set_content(self, attributes: Attributes) -> None:
        if self._content:
            self.span.set_attributes(attributes)


class OtelTracer:
    def __init__(self, processor: SpanProcessor | None = None, *, content: bool) -> None:
        name = os.environ.get("OTEL_SERVICE_NAME", "rerankd")
        self._provider = TracerProvider(resource=Resource.create({"service.name": name}))
        self._provider.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("rerankd")
        self._content = content

    @contextmanager
    def span(self, name: str, kind: SpanKind, parent: TraceSpan | None) -> Iterator[TraceSpan]:
        """The parent is passed and not looked up: an answer's steps run in any context."""
        context = trace.set_span_in_context(parent.span) if isinstance(parent, OtelSpan) else None
        span = self._tracer.start_span(
            name, context=context, attributes={"openinference.span.kind": kind}
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
