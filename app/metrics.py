"""Prometheus, behind a few named methods. The only room that knows the client library."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import accumulate
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from app import __version__
from app.answer.result import Answer, StageDone
from app.events import (
    CLOSE_REASONS,
    BatchDone,
    ConnectionClosed,
    Event,
    FallbackUsed,
    LoopLagged,
    ModelLoaded,
    PairsWithdrawn,
    Ranked,
    RequestEnded,
    RequestRefused,
    RequestStarted,
    UpstreamCalled,
)
from app.llm.fallback_chain import CROWDED, FallbackChain, LLMCalled

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
TOKENS = (64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536)
TENTHS = 10
BUILD = ("model", "architecture", "engine", "device", "dtype")
REASONS = (
    "overloaded",
    "deadline",
    "loading",
    "engine_failed",
    "draining",
    "upstream_busy",
    "upstream_timeout",
)
LONG_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
OUTCOMES = ("answered", "extractive", "not_found")


class ScoreHistogram(Collector):
    """Every score given, in tenths of probability: a shift of its shape is drift.

    The library's histogram takes one value a call; a request brings a thousand.
    """

    def __init__(self) -> None:
        self._counts = [0] * TENTHS
        self._sum = 0.0

    def observe(self, scores: Iterable[float]) -> None:
        for score in scores:
            self._counts[min(TENTHS - 1, int(score * TENTHS))] += 1
            self._sum += score

    def collect(self) -> Iterable[Metric]:
        totals = list(accumulate(self._counts))
        edges = [f"{(tenth + 1) / TENTHS:.1f}" for tenth in range(TENTHS)]
        buckets = [*zip(edges, totals, strict=True), ("+Inf", totals[-1])]
        yield HistogramMetricFamily(
            "rerankd_score", "Scores given, as probability", buckets=buckets, sum_value=self._sum
        )


class WatchedTotal(Collector):
    def __init__(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        self._name, self._help_text, self._read = name, help_text, read

    def collect(self) -> Iterable[Metric]:
        yield CounterMetricFamily(self._name, self._help_text, value=self._read())


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = self._histogram(
            "request_seconds", "Time from request to answer", SECONDS, ("route", "outcome")
        )
        self._in_flight = self._gauge("requests_in_flight", "Requests being answered")
        self._refusals = self._counter("refusals", "Requests refused", ("reason",))
        self._documents = self._histogram("request_documents", "Documents a request", COUNTS)
        self._tokenize = self._histogram("tokenize_seconds", "Time to tokenize a request", SECONDS)
        self._queue = self._histogram("queue_seconds", "Time a request waited", SECONDS)
        self._compute = self._histogram("compute_seconds", "Engine time of a request", SECONDS)
        self._batch_seconds = self._histogram("batch_seconds", "Engine time of a batch", SECONDS)
        self._batch_pairs = self._histogram("batch_pairs", "Pairs in a batch", COUNTS)
        self._batch_tokens = self._histogram("batch_tokens", "Tokens in a batch", TOKENS)
        self._tokens = self._counter("tokens", "Tokens computed: text, or padding", ("kind",))
        self._truncated = self._counter("documents_truncated", "Documents cut to fit the model")
        self._failed = self._counter("pairs_failed", "Pairs that could not be scored")
        self._withdrawn = self._counter("pairs_withdrawn", "Pairs given up before compute")
        self._reused = self._counter(
            "scores_reused", "Scores not computed again: duplicate or cached", ("source",)
        )
        self._loop_lag = self._histogram(
            "loop_lag_seconds", "How late a task wakes: how long the event loop was held", SECONDS
        )
        self._load_seconds = self._gauge("model_load_seconds", "Time to load and warm the model")
        self._upstream = self._histogram(
            "upstream_seconds",
            "Time of a call to another service, tries and all",
            (*SECONDS, 30.0, 60.0),
            ("upstream", "outcome"),
        )
        self._connections = self._gauge("connections", "Connections open")
        self._unread = self._gauge("unread_answer_bytes", "Answers that callers have not read yet")
        self._closed = self._counter(
            "connections_closed", "Connections closed for exceeding a limit", ("reason",)
        )
        self._fallback = self._counter(
            "fallback_documents",
            "Documents for the fallback: sent, or refused by the daily limit",
            ("outcome",),
        )
        self._fallback_left = self._gauge(
            "fallback_documents_left",
            "Documents that may go to the fallback today; 0 without a limit",
        )
        for outcome in ("sent", "refused"):
            self._fallback.labels(outcome)
        self._scores = ScoreHistogram()
        self.registry.register(self._scores)
        self._make_answer_metrics()
        for kind in ("text", "padding"):
            self._tokens.labels(kind)
        for source in ("duplicate", "cache"):
            self._reused.labels(source)
        for reason in REASONS:
            self._refusals.labels(reason)
        for reason in CLOSE_REASONS:
            self._closed.labels(reason)
        self._handlers: Mapping[type[Event], Callable[[Any], None]] = {
            RequestStarted: self._on_request_started,
            RequestEnded: self._on_request_ended,
            RequestRefused: lambda event: self._refusals.labels(event.reason).inc(),
            ConnectionClosed: lambda event: self._closed.labels(event.reason).inc(),
            LoopLagged: lambda event: self._loop_lag.observe(event.seconds),
            ModelLoaded: self._on_model_loaded,
            BatchDone: self._on_batch_done,
            PairsWithdrawn: lambda event: self._withdrawn.inc(event.pairs),
            Ranked: self._on_ranked,
            UpstreamCalled: self._on_upstream_called,
            FallbackUsed: lambda event: self._fallback.labels(event.outcome).inc(event.documents),
        }

    def _make_answer_metrics(self) -> None:
        self._stages = self._histogram(
            "answer_stage_seconds",
            "Time of a step to an answer",
            LONG_SECONDS,
            ("stage", "outcome"),
        )
        self._searches = self._histogram(
            "store_seconds", "Time of a search in a store", LONG_SECONDS, ("store", "outcome")
        )
        self._answers = self._counter("answers", "Answers given", ("outcome",))
        self._repeated = self._counter("answers_repeated", "Answers given again from the cache")
        self._invented = self._counter("citations_invented", "Citations of what is not there")
        self._feedback = self._counter("feedback", "Verdicts on answers", ("useful",))
        self._llm_seconds = self._histogram(
            "llm_seconds", "Time of a call to a language model", LONG_SECONDS, ("llm", "outcome")
        )
        self._llm_tokens = self._counter(
            "llm_tokens", "Tokens of language models: prompt, or completion", ("llm", "kind")
        )
        self._fallbacks = self._counter(
            "llm_fallbacks",
            "Times that a language model did not answer, and the next was asked",
            ("llm",),
        )
        self._breakers = Gauge(
            "rerankd_llm_breaker_open",
            "1 while a language model that keeps failing is left alone",
            ("llm",),
            registry=self.registry,
        )
        self._llm_waiting = self._gauge("llm_waiting", "Questions that wait for a language model")
        self._crowded = self._counter(
            "llm_crowded", "Calls to language models not made, for too many questions waited"
        )
        self._budget = self._gauge("llm_budget_tokens", "Tokens left today; 0 without a limit")
        for outcome in OUTCOMES:
            self._answers.labels(outcome)
        for useful in ("up", "down"):
            self._feedback.labels(useful)

    def answer(self, event: Answer | StageDone) -> None:
        if isinstance(event, StageDone):
            self._stages.labels(event.stage, event.outcome).observe(event.seconds)
            return
        self._answers.labels(event.outcome).inc()
        self._repeated.inc(event.cached)
        self._invented.inc(0 if event.cached else len(event.invented))

    def searched(self, store: str, outcome: str, seconds: float) -> None:
        self._searches.labels(store, outcome).observe(seconds)

    def llm_called(self, call: LLMCalled) -> None:
        if call.outcome == CROWDED:
            self._crowded.inc()
            return
        if call.outcome != "passed_over":
            self._llm_seconds.labels(call.llm, call.outcome).observe(call.seconds)
        if call.outcome in ("passed_over", "failed", "timeout"):
            self._fallbacks.labels(call.llm).inc()
        self._llm_tokens.labels(call.llm, "prompt").inc(call.tokens.prompt)
        self._llm_tokens.labels(call.llm, "completion").inc(call.tokens.completion)

    def watch_llms(self, chain: FallbackChain | None) -> None:
        if chain is None:
            return
        self._budget.set_function(lambda: chain.budget.left)
        self._llm_waiting.set_function(lambda: chain.slots.waiting)
        for link in chain.links:
            breaker = link.breaker
            self._breakers.labels(link.llm.name).set_function(partial(getattr, breaker, "open"))

    def feedback(self, useful: str) -> None:
        self._feedback.labels(useful).inc()

    def watch(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """A gauge whose value is asked for at each scrape."""
        self._gauge(name, help_text).set_function(read)

    def watch_total(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """A counter that is kept elsewhere, and read at each scrape."""
        self.registry.register(WatchedTotal(f"rerankd_{name}", help_text, read))

    def watch_connections(self, opened: Callable[[], int], unread: Callable[[], int]) -> None:
        self._connections.set_function(opened)
        self._unread.set_function(unread)

    def observe(self, event: Event) -> None:
        self._handlers[type(event)](event)

    def _on_request_started(self, _: RequestStarted) -> None:
        self._in_flight.inc()

    def _on_request_ended(self, event: RequestEnded) -> None:
        self._in_flight.dec()
        self._requests.labels(event.route, event.outcome).observe(event.seconds)

    def _on_batch_done(self, event: BatchDone) -> None:
        self._batch_seconds.observe(event.seconds)
        self._batch_pairs.observe(event.pairs)
        self._batch_tokens.observe(event.tokens)
        self._failed.inc(event.failed)
        self._tokens.labels("text").inc(event.tokens)
        self._tokens.labels("padding").inc(event.padding)

    def watch_fallback(self, left: Callable[[], int]) -> None:
        self._fallback_left.set_function(left)

    def _on_upstream_called(self, event: UpstreamCalled) -> None:
        self._upstream.labels(event.upstream, event.outcome).observe(event.seconds)

    def _on_ranked(self, event: Ranked) -> None:
        self._documents.observe(event.documents)
        if event.times is not None:
            self._tokenize.observe(event.times.tokenize)
            self._queue.observe(event.times.queue)
            self._compute.observe(event.times.compute)
        self._truncated.inc(event.truncated)
        self._reused.labels("duplicate").inc(event.duplicates)
        self._reused.labels("cache").inc(event.cached)
        self._scores.observe(event.probabilities)

    def _on_model_loaded(self, event: ModelLoaded) -> None:
        self._load_seconds.set(event.seconds)
        build = Info("rerankd_build", "What is running", registry=self.registry)
        build.info(
            {name: str(getattr(event.card, name)) for name in BUILD} | {"version": __version__}
        )

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """The scrape, in the format that the scraper asks for, and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type

    def _histogram(
        self, name: str, text: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()
    ) -> Histogram:
        return Histogram(f"rerankd_{name}", text, labels, buckets=buckets, registry=self.registry)

    def _counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(f"rerankd_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"rerankd_{name}", text, registry=self.registry)
