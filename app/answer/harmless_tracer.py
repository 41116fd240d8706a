"""A tracer that cannot break an answer, around one that may."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from app.answer.tracing import Kind, NoSpan, Span, Tracer
from app.observing import Once, harmless


class HarmlessSpan:
    def __init__(self, inner: Span, once: Once) -> None:
        self.inner = inner
        self._once = once

    def set(self, facts: Mapping[str, Any]) -> None:
        harmless(self.inner.set, self._once)(facts)

    def tell(self, content: Mapping[str, Any]) -> None:
        harmless(self.inner.tell, self._once)(content)


class HarmlessTracer:
    def __init__(self, tracer: Tracer) -> None:
        self.inner = tracer
        self._once = Once(type(tracer).__name__)

    @contextmanager
    def span(self, name: str, kind: Kind, parent: Span | None) -> Iterator[Span]:
        above = parent.inner if isinstance(parent, HarmlessSpan) else parent
        manager: AbstractContextManager[Span] | None = None
        span: Span = NoSpan()
        try:
            manager = self.inner.span(name, kind, above)
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
        self, manager: AbstractContextManager[Span] | None, error: BaseException | None
    ) -> None:
        """The span is told of the error, which stays the one that is raised."""
        if manager is None:
            return
        try:
            trace = error.__traceback__ if error is not None else None
            manager.__exit__(type(error) if error is not None else None, error, trace)
        except Exception as raised:  # noqa: BLE001 (as above)
            self._once.failed(raised)

    def close(self) -> None:
        harmless(self.inner.close, self._once)()
