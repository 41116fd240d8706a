"""Opens where traces go, as the settings say."""

from __future__ import annotations

from app.errors import LoadFailed
from app.settings import Settings
from app.tracing.tracer import HarmlessTracer, NoTracer, Tracer


def open_tracer(settings: Settings) -> Tracer:
    if not settings.traces:
        return NoTracer()
    try:
        from app.tracing.otel import OtelTracer  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise LoadFailed("traces needs OpenTelemetry: pip install 'rerankd[otel]'") from error
    return HarmlessTracer(OtelTracer(content=settings.trace_content))
