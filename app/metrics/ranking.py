"""Metrics of rankings and of their batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from app.events import BatchDone, Event, PairsWithdrawn, Ranked, TopScored
from app.metrics.family import COUNTS, SCORES, SECONDS, TOKENS, Family, ScoreHistogram


class RankingMetrics:
    def __init__(self, family: Family) -> None:
        seconds = partial(family.histogram, buckets=SECONDS)
        self._documents = family.histogram("request_documents", "Documents in a request", COUNTS)
        self._tokenize = seconds("tokenize_seconds", "Time to tokenize the texts of a request")
        self._queue = seconds("queue_seconds", "Time that a request waited in the queue")
        self._compute = seconds("compute_seconds", "Time that the engine computed for a request")
        self._batch_seconds = seconds("batch_seconds", "Time that the engine computed a batch")
        self._batch_pairs = family.histogram("batch_pairs", "Pairs in a batch", COUNTS)
        self._batch_tokens = family.histogram(
            "batch_tokens", "Tokens in a batch, without padding", TOKENS
        )
        self._tokens = family.counter(
            "tokens", "Tokens computed: text or padding", ("kind",), ("text", "padding")
        )
        self._truncated = family.counter(
            "documents_truncated", "Documents cut to the length limit of the model"
        )
        self._failed = family.counter("pairs_failed", "Pairs that could not be scored")
        self._withdrawn = family.counter(
            "pairs_withdrawn", "Pairs withdrawn before they were computed"
        )
        self._reused = family.counter(
            "scores_reused",
            "Scores reused: of a duplicate document, or from the cache",
            ("source",),
            ("duplicate", "cache"),
        )
        self._top_score = family.histogram(
            "top_score", "Best score of a ranking, as a probability", SCORES
        )
        self._score_gap = family.histogram(
            "score_gap", "Distance of the best score of a ranking to the second best", SCORES
        )
        self._scores = ScoreHistogram()
        family.registry.register(self._scores)

    @property
    def handlers(self) -> Mapping[type[Event], Callable[[Any], None]]:
        return {
            BatchDone: self._on_batch_done,
            PairsWithdrawn: lambda event: self._withdrawn.inc(event.pairs),
            Ranked: self._on_ranked,
            TopScored: self._on_top_scored,
        }

    def _on_batch_done(self, event: BatchDone) -> None:
        self._batch_seconds.observe(event.seconds)
        self._batch_pairs.observe(event.pairs)
        self._batch_tokens.observe(event.tokens)
        self._failed.inc(event.failed)
        self._tokens.labels("text").inc(event.tokens)
        self._tokens.labels("padding").inc(event.padding)

    def _on_ranked(self, event: Ranked) -> None:
        self._documents.observe(event.documents)
        if not event.by_another_service:
            self._tokenize.observe(event.tokenize)
            self._queue.observe(event.queue)
            self._compute.observe(event.compute)
        self._truncated.inc(event.truncated)
        self._reused.labels("duplicate").inc(event.duplicates)
        self._reused.labels("cache").inc(event.cached)
        self._scores.observe(event.probabilities)

    def _on_top_scored(self, event: TopScored) -> None:
        self._top_score.observe(event.top)
        if event.gap is not None:
            self._score_gap.observe(event.gap)
