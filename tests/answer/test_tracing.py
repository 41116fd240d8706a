from __future__ import annotations

import json

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.answer.answerer import Answerer
from app.answer.cache import answer_cache
from app.answer.otel import OtelTracer
from app.answer.question import Question
from app.errors import UpstreamFailed
from app.llm import LLM
from app.llm.breaker import Breaker
from app.llm.budget import Budget
from app.llm.fallback_chain import FallbackChain, Link
from app.llm.slots import Slots
from tests.answer.rooms import POLICY
from tests.fakes import FakeRetriever, OverlapReranker, ScriptedLLM

pytestmark = pytest.mark.anyio


async def trace(llm: LLM, *, content: bool) -> dict[str, ReadableSpan]:
    kept = InMemorySpanExporter()
    tracer = OtelTracer(SimpleSpanProcessor(kept), content=content)
    answerer = Answerer(
        FakeRetriever("The library opens at nine.", "A book is lent for four weeks."),
        OverlapReranker(),
        FallbackChain(
            [Link(llm, Breaker(lambda: 0.0))], Budget(0, None), Slots(1, 0), max_tokens=9
        ),
        POLICY,
        cache=answer_cache(0, lambda: 0.0, 0),
        tracer=tracer,
    )
    await answerer.answer(Question("how long is a book lent"))
    tracer.close()
    return {span.name: span for span in kept.get_finished_spans()}


async def test_an_answer_is_a_trace_of_its_steps_in_openinferences_words() -> None:
    spans = await trace(ScriptedLLM("m", "Four weeks [1]."), content=False)
    kinds = {
        name: (span.attributes or {})["openinference.span.kind"] for name, span in spans.items()
    }
    assert kinds == {
        "retrieve": "RETRIEVER",
        "rerank": "RERANKER",
        "llm": "LLM",
        "answer": "CHAIN",
    }
    assert all(span.status.is_unset for span in spans.values())
    root = spans["answer"].context
    for name in ("retrieve", "rerank", "llm"):
        parent = spans[name].parent
        assert root is not None
        assert parent is not None
        assert parent.span_id == root.span_id
    attributes = {**(spans["rerank"].attributes or {}), **(spans["llm"].attributes or {})}
    assert attributes["reranker.output_documents.0.document.id"] == "p2"
    assert (attributes["llm.model_name"], attributes["llm.token_count.total"]) == ("m", 10)


async def test_texts_are_in_a_trace_only_when_that_is_switched_on() -> None:
    llm = ScriptedLLM("m", "Four weeks [1].")
    shown = json.dumps([span.to_json() for span in (await trace(llm, content=True)).values()])
    hidden = json.dumps([span.to_json() for span in (await trace(llm, content=False)).values()])
    for text in ("how long is a book lent", "opens at nine", "Four weeks [1]", "You answer"):
        assert text in shown
        assert text not in hidden


async def test_a_step_that_fails_says_so_without_a_word_of_the_question() -> None:
    down = UpstreamFailed("m is down", upstream="m")
    spans = await trace(ScriptedLLM("m", down), content=False)
    assert spans["llm"].status.description == "AllFailed"
    assert "extract" in spans
