"""Observers that fail: what they observe goes on, and the log says it once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.metrics import Metrics
from app.observing import harmless
from app.tracing.otel import OtelTracer
from app.tracing.tracer import HarmlessTracer
from tests.api.asking import BODY, llm_of
from tests.desk import Desk
from tests.fakes import FakeRetriever
from tests.llm.server import llm_server, says

pytestmark = pytest.mark.anyio


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.__dict__["fields"]["observer"] for record in caplog.records if record.exc_info]


def test_what_fails_is_logged_once_and_what_works_is_passed_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[int] = []

    def observe(number: int) -> None:
        seen.append(10 // number)

    guarded = harmless(observe)
    for number in (1, 0, 0, 2):
        guarded(number)
    assert seen == [10, 5]
    assert len(logged(caplog)) == 1


def test_what_ends_the_process_is_not_held_back() -> None:
    def observe() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        harmless(observe)()


@pytest.mark.parametrize("name", ["observe", "remember"])
async def test_an_answer_is_given_whatever_becomes_of_its_observer(
    model: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any, name: str
) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("negative")

    broken.__qualname__ = name
    if name == "remember":
        monkeypatch.setattr("app.answer.feedback.Feedback.remember", broken)
    else:
        monkeypatch.setattr(Metrics, name, broken)
    room = Desk(model, FakeRetriever("A book is lent for four weeks.", "Bananas are yellow."))
    more = {"feedback_file": tmp_path / "feedback.jsonl"}
    async with (
        llm_server(says("Four [1].")) as server,
        room.open(**llm_of(server, **more)) as client,
    ):
        answers = [await client.post("/answer", json={**BODY, "query": q}) for q in ("how", "long")]
    assert [answer.json()["outcome"] for answer in answers] == ["answered"] * 2
    assert len(logged(caplog)) == 1


async def test_a_ranking_is_given_whatever_becomes_of_its_observer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("negative")

    monkeypatch.setattr(Metrics, "observe", broken)
    async with desk.open() as client:
        for text in ("a", "b"):
            body = {"query": "q", "documents": [text]}
            assert (await client.post("/rerank", json=body)).status_code == 200
        assert (await client.get("/readyz")).status_code == 200
    assert len(logged(caplog)) == 1


class BrokenSpan:
    records = True
    records_content = True

    def set(self, facts: Any) -> None:
        raise RuntimeError

    def set_content(self, content: Any) -> None:
        raise RuntimeError


class BrokenTracer:
    """Fails in its `part`: start, span or end."""

    def __init__(self, part: str) -> None:
        self._part = part

    @contextmanager
    def span(self, *_: Any) -> Iterator[BrokenSpan]:
        if self._part == "start":
            raise RuntimeError
        try:
            yield BrokenSpan()
        finally:
            if self._part == "end":
                raise RuntimeError

    def close(self) -> None:
        raise RuntimeError


@pytest.mark.parametrize("part", ["start", "span", "end"])
def test_a_tracer_that_fails_anywhere_breaks_nothing(
    part: str, caplog: pytest.LogCaptureFixture
) -> None:
    tracer = HarmlessTracer(BrokenTracer(part))
    for _ in range(2):
        with tracer.span("answer", "CHAIN", None) as root, tracer.span("llm", "LLM", root) as span:
            span.set({"a": 1})
            span.set_content({"a": 1})
    tracer.close()
    assert len(logged(caplog)) == 1
    with pytest.raises(LookupError), tracer.span("answer", "CHAIN", None):
        raise LookupError


def test_a_tracer_that_works_sees_its_spans_their_parents_and_their_errors(
    caplog: pytest.LogCaptureFixture,
) -> None:
    kept = InMemorySpanExporter()
    tracer = HarmlessTracer(OtelTracer(SimpleSpanProcessor(kept), content=True))

    def fail() -> None:
        with tracer.span("answer", "CHAIN", None) as root:
            with tracer.span("llm", "LLM", root) as span:
                span.set({"a": 1})
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    tracer.close()
    inner, outer = kept.get_finished_spans()
    assert (inner.attributes or {})["a"] == 1
    assert inner.parent is not None
    assert outer.context is not None
    assert inner.parent.span_id == outer.context.span_id
    assert outer.status.description == "LookupError"
    assert logged(caplog) == []
