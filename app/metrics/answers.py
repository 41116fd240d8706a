"""Metrics of answers: stages, stores, language models and feedback."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from app.events import (
    AnswerGiven,
    AnswerStageDone,
    Event,
    FeedbackGiven,
    LLMCalled,
    LLMCrowded,
    StoreSearched,
)
from app.metrics.family import LONG_SECONDS, Family

OUTCOMES = ("answered", "extractive", "not_found")


class AnswerMetrics:
    def __init__(self, family: Family) -> None:
        self._stages = family.histogram(
            "answer_stage_seconds",
            "Time of one stage of an answer",
            LONG_SECONDS,
            ("stage", "outcome"),
        )
        self._searches = family.histogram(
            "store_seconds", "Time of one search in a store", LONG_SECONDS, ("store", "outcome")
        )
        self._answers = family.counter("answers", "Answers to questions", ("outcome",), OUTCOMES)
        self._repeated = family.counter("answers_repeated", "Answers from the cache")
        self._invented = family.counter(
            "citations_invented", "Citations of sources that do not exist"
        )
        self._feedback = family.counter(
            "feedback", "Feedback on answers", ("useful",), ("up", "down")
        )
        self._make_llm_metrics(family)

    def _make_llm_metrics(self, family: Family) -> None:
        self._llm_seconds = family.histogram(
            "llm_seconds", "Time of one call to a language model", LONG_SECONDS, ("llm", "outcome")
        )
        self._llm_tokens = family.counter(
            "llm_tokens", "Tokens of language models: prompt or completion", ("llm", "kind")
        )
        self._fallbacks = family.counter(
            "llm_fallbacks",
            "Calls in which a language model did not answer and the next one was used",
            ("llm",),
        )
        self._crowded = family.counter(
            "llm_crowded", "Calls to language models not made because too many questions waited"
        )
        self.breakers = family.gauge(
            "llm_breaker_open",
            "1 while a language model is not called because its calls keep failing",
            ("llm",),
        )
        self.waiting = family.gauge("llm_waiting", "Questions that wait for a language model")
        self.budget = family.gauge(
            "llm_budget_tokens", "Tokens of language models left today; 0: no limit"
        )

    @property
    def handlers(self) -> Mapping[type[Event], Callable[[Any], None]]:
        return {
            AnswerStageDone: self._on_stage_done,
            AnswerGiven: self._on_answer_given,
            StoreSearched: self._on_store_searched,
            LLMCalled: self._on_llm_called,
            LLMCrowded: lambda _: self._crowded.inc(),
            FeedbackGiven: lambda event: self._feedback.labels(event.useful).inc(),
        }

    def _on_stage_done(self, event: AnswerStageDone) -> None:
        self._stages.labels(event.stage, event.outcome).observe(event.seconds)

    def _on_answer_given(self, event: AnswerGiven) -> None:
        self._answers.labels(event.outcome).inc()
        self._repeated.inc(event.cached)
        self._invented.inc(event.invented)

    def _on_store_searched(self, event: StoreSearched) -> None:
        self._searches.labels(event.store, event.outcome).observe(event.seconds)

    def _on_llm_called(self, event: LLMCalled) -> None:
        if event.outcome != "passed_over":
            self._llm_seconds.labels(event.llm, event.outcome).observe(event.seconds)
        if event.outcome in ("passed_over", "failed", "timeout"):
            self._fallbacks.labels(event.llm).inc()
        self._llm_tokens.labels(event.llm, "prompt").inc(event.prompt_tokens)
        self._llm_tokens.labels(event.llm, "completion").inc(event.completion_tokens)
