from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.answer.answerer import Answerer
from app.answer.cache import answer_cache
from app.answer.question import Question
from app.errors import UpstreamFailed
from app.llm import LLM
from app.llm.breaker import Breaker
from app.llm.budget import Budget
from app.llm.fallback_chain import FallbackChain, Link
from app.llm.slots import Slots
from app.tracing.otel import OtelTracer
from app.tracing.tracer import CallerTrace
from tests.answer.rooms import POLICY
from tests.fakes import FakeRetriever, OverlapReranker, ScriptedLLM

pytestmark = pytest.mark.anyio

QUESTION = Question("how long is a book lent")

TEXTS = ("The library opens at nine.", "A book is lent for four weeks.")


async def trace(
    llm: LLM,
    *,
    content: bool,
    texts: Sequence[str] = TEXTS,
    question: Question = QUESTION,
) -> dict[str, ReadableSpan]:
    kept = InMemorySpanExporter()
    tracer = OtelTracer(SimpleSpanProcessor(kept), content=content)
    answerer = Answerer(
        FakeRetriever(*texts),
        OverlapReranker(),
        FallbackChain(
            [Link(llm, Breaker(lambda: 0.0))], Budget(0, None), Slots(1, 0), max_tokens=9
        ),
        POLICY,
        cache=answer_cache(0, lambda: 0.0, 0),
        tracer=tracer,
    )
    await answerer.answer(question)
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


def attributes_of(span: ReadableSpan) -> Mapping[str, Any]:
    return span.attributes or {}


async def test_every_step_has_its_documents_with_their_texts_scores_and_metadata() -> None:
    spans = await trace(ScriptedLLM("m", "Four weeks [1]."), content=True)
    retrieved, ranked = attributes_of(spans["retrieve"]), attributes_of(spans["rerank"])
    assert retrieved["input.value"] == QUESTION.text
    assert [retrieved[f"retrieval.documents.{n}.document.content"] for n in range(2)] == list(TEXTS)
    assert retrieved["retrieval.documents.1.document.id"] == "p2"
    assert json.loads(retrieved["retrieval.documents.1.document.metadata"]) == {"source": "2.md"}
    assert ranked["reranker.query"] == ranked["input.value"] == QUESTION.text
    assert ranked["reranker.input_documents.0.document.content"] == TEXTS[0]
    assert ranked["reranker.output_documents.0.document.content"] == TEXTS[1]
    assert 0 < ranked["reranker.output_documents.0.document.score"] <= 1
    best = json.loads(ranked["output.value"])[0]
    assert (best["id"], best["text"]) == ("p2", TEXTS[1])


async def test_a_model_shows_what_it_read_and_wrote() -> None:
    spans = await trace(ScriptedLLM("m", "Four weeks [1]."), content=True)
    written = attributes_of(spans["llm"])
    assert written["llm.input_messages.0.message.role"] == "system"
    assert TEXTS[1] in written["llm.input_messages.1.message.content"]
    assert TEXTS[1] in written["input.value"]
    assert written["output.value"] == "Four weeks [1]."
    assert written["llm.output_messages.0.message.content"] == "Four weeks [1]."


async def test_many_documents_do_not_push_out_the_kind_of_a_step() -> None:
    texts = [f"Book {number} is lent for four weeks." for number in range(50)]
    spans = await trace(ScriptedLLM("m", "Four weeks [1]."), content=True, texts=texts)
    retrieved = attributes_of(spans["retrieve"])
    assert retrieved["openinference.span.kind"] == "RETRIEVER"
    assert attributes_of(spans["rerank"])["openinference.span.kind"] == "RERANKER"
    assert retrieved["retrieval.documents.0.document.content"] == texts[0]
    assert retrieved["retrieval.documents.49.document.content"] == texts[49]


async def test_an_extract_names_its_ranker_and_its_text() -> None:
    down = UpstreamFailed("m is down", upstream="m")
    spans = await trace(ScriptedLLM("m", down), content=True)
    made = attributes_of(spans["extract"])
    assert made["openinference.span.kind"] == "RERANKER"
    assert made["reranker.model_name"]
    assert TEXTS[1].rstrip(".") in made["output.value"]


async def test_an_answer_continues_the_trace_of_its_caller() -> None:
    caller = CallerTrace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    question = replace(QUESTION, trace=caller)
    spans = await trace(ScriptedLLM("m", "Four weeks [1]."), content=False, question=question)
    for span in spans.values():
        assert span.context is not None
        assert f"{span.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    parent = spans["answer"].parent
    assert parent is not None
    assert f"{parent.span_id:016x}" == "b7ad6b7169203331"


async def test_a_caller_that_does_not_sample_is_not_traced() -> None:
    caller = CallerTrace("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")
    question = replace(QUESTION, trace=caller)
    assert await trace(ScriptedLLM("m", "Weeks [1]."), content=True, question=question) == {}
