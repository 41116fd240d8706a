"""Where spans go; by default they go nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, NamedTuple, Protocol

from app.observing import Once, harmless

SpanKind = Literal["CHAIN", "RETRIEVER", "RERANKER", "LLM"]
Attributes = Mapping[str, str | bool | int | float]


class TraceSpan(Protocol):
    @property
    def records(self) -> bool:
        """Whether anything set here is kept; if not, nothing needs to be prepared."""

    @property
    def records_content(self) -> bool: ...

    def set(self, attributes: Attributes) -> None:
        """Facts about a step."""

    def set_content(self, attributes: Attributes) -> None:
        """Texts of a step; kept only where content is switched on."""


class CallerTrace(NamedTuple):
    """The span of the caller, from the headers of W3C Trace Context; it becomes the parent."""

    traceparent: str
    tracestate: str = ""


def caller_trace(headers: Mapping[str, str]) -> CallerTrace | None:
    traceparent = headers.get("traceparent")
    return CallerTrace(traceparent, headers.get("tracestate", "")) if traceparent else None


Parent = TraceSpan | CallerTrace | None


class Tracer(Protocol):
    def span(
        self, name: str, kind: SpanKind, parent: Parent
    ) -> AbstractContextManager[TraceSpan]: ...

    def close(self) -> None: ...


class NoSpan:
    records = False
    records_content = False

    def set(self, attributes: Attributes) -> None: ...

    def set_content(self, attributes: Attributes) -> None: ...


class NoTracer:
    @contextmanager
    def span(
        self,
        name: str,  # noqa: ARG002
        kind: SpanKind,  # noqa: ARG002
        parent: Parent,  # noqa: ARG002
    ) -> Iterator[TraceSpan]:
        yield NoSpan()

    def close(self) -> None: ...


class HarmlessSpan:
    def __init__(self, inner: TraceSpan, once: Once) -> None:
        self.inner = inner
        self.records = inner.records
        self.records_content = inner.records_content
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
    def span(self, name: str, kind: SpanKind, parent: Parent) -> Iterator[TraceSpan]:
        inner_parent = parent.inner if isinstance(parent, HarmlessSpan) else parent
        manager: AbstractContextManager[TraceSpan] | None = None
        span: TraceSpan = NoSpan()
        try:
            manager = self.inner.span(name, kind, inner_parent)
            span = HarmlessSpan(manager.__enter__(), self._once)
        except Exception as error:  # noqa: BLE001 (the answer goes on without this span)
            manager = None
            self._once.failed(error)
        try:
            yield span
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
