"""OpenTelemetry behind the tracer's two methods. The only room that knows its libraries.

Where traces go, how they are sampled and what the service is called is said in OpenTelemetry's
own environment variables.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from app.answer.tracing import Kind, Span


class OtelSpan:
    def __init__(self, span: trace.Span, *, content: bool) -> None:
        self.span = span
        self._content = content

    def set(self, facts: Mapping[str, Any]) -> None:
        self.span.set_attributes(facts)

    def tell(self, content: Mapping[str, Any]) -> None:
        if self._content:
            self.span.set_attributes(content)


class OtelTracer:
    def __init__(self, processor: SpanProcessor | None = None, *, content: bool) -> None:
        named = os.environ.get("OTEL_SERVICE_NAME", "rerankd")
        self._provider = TracerProvider(resource=Resource.create({"service.name": named}))
        self._provider.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("rerankd")
        self._content = content

    @contextmanager
    def span(self, name: str, kind: Kind, parent: Span | None) -> Iterator[Span]:
        """The parent is named and not looked up: a stream's steps run in whatever context."""
        within = trace.set_span_in_context(parent.span) if isinstance(parent, OtelSpan) else None
        span = self._tracer.start_span(
            name, context=within, attributes={"openinference.span.kind": kind}
        )
        try:
            yield OtelSpan(span, content=self._content)
        except BaseException as error:
            # Its name alone: a text may hold what was asked.
            span.set_status(trace.StatusCode.ERROR, type(error).__name__)
            raise
        finally:
            span.end()

    def close(self) -> None:
        self._provider.shutdown()
