"""Gauges that are read at each scrape, also before the model is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from app import log_queue
from app.api.inflight import InflightBytes
from app.engines.lower_states import StateCache
from app.metrics import Metrics
from app.model_card import ModelCard
from app.rerank.batcher import Batcher
from app.rerank.tokenizing import Tokenizing
from app.service import Served, Service
from app.state import READY

T = TypeVar("T")

CARD: Mapping[str, tuple[str, Callable[[ModelCard], float]]] = {
    "queue_tokens_limit": (
        "Maximum tokens in the queue; above it, requests are refused",
        lambda card: card.max_queue_tokens,
    ),
    "batch_tokens_configured": (
        "Maximum tokens of a batch at the start of the service",
        lambda card: card.max_batch_tokens,
    ),
}
BATCHER: Mapping[str, tuple[str, Callable[[Batcher], float]]] = {
    "queue_tokens": ("Tokens in the queue", lambda batcher: batcher.waiting_tokens),
    "batch_tokens_limit": (
        "Maximum tokens of a batch; it falls when memory runs out",
        lambda batcher: batcher.budget,
    ),
    "tokens_per_second": (
        "Tokens that the engine computes per second",
        lambda batcher: batcher.pace.tokens_per_second,
    ),
    "queue_seconds_of_work": (
        "Seconds that the engine needs for the tokens in the queue: the signal to scale out on",
        lambda batcher: batcher.pace.seconds_for(batcher.waiting_tokens),
    ),
    "utilization": (
        "Share of the last minute in which the engine computed, from 0 to 1",
        lambda batcher: batcher.calls.utilization,
    ),
    "newest_first": (
        "1 while the newest requests are served first, because most callers leave unanswered",
        lambda batcher: batcher.newest_first,
    ),
    "batch_age_seconds": (
        "Age of the oldest batch in the engine, in seconds; 0: no batch",
        lambda batcher: batcher.calls.age,
    ),
}
TOKENIZING: Mapping[str, tuple[str, Callable[[Tokenizing], float]]] = {
    "tokenizer_chars_waiting": (
        "Characters that wait for the tokenizer",
        lambda tokenizing: tokenizing.waiting_chars,
    ),
    "tokenizer_chars_per_second": (
        "Characters that are tokenized per second",
        lambda tokenizing: tokenizing.pace.tokens_per_second,
    ),
}
STATES: Mapping[str, tuple[str, Callable[[StateCache], float]]] = {
    "state_cache_bytes": (
        "Memory of the states of queries and documents that are kept, in bytes",
        lambda states: states.size,
    ),
}
STATE_TOTALS: Mapping[str, tuple[str, Callable[[StateCache], float]]] = {
    "state_cache_hits": (
        "Queries and documents whose lower layers were not computed again",
        lambda states: states.hits,
    ),
    "state_cache_misses": (
        "Queries and documents whose lower layers were computed",
        lambda states: states.misses,
    ),
}


def watch(service: Service, metrics: Metrics, inflight: InflightBytes) -> None:
    metrics.watch("ready", "1 while requests can be served", lambda: service.state == READY)
    metrics.watch(
        "inflight_bytes", "Bytes of the bodies of requests in progress", lambda: inflight.held
    )
    metrics.watch(
        "inflight_bytes_limit",
        "Maximum bytes of the bodies of requests in progress",
        lambda: inflight.limit,
    )
    metrics.watch_total(
        "log_lines_dropped",
        "Log lines lost because standard error was not read in time",
        log_queue.dropped_lines,
    )
    metrics.watch(
        "device_memory_bytes",
        "GPU memory of the model, in bytes; 0: no GPU",
        lambda: service.served.memory() if service.served else 0,
    )
    watch_model(service, metrics)


def watch_model(service: Service, metrics: Metrics) -> None:
    """The value is 0 while the model is not loaded, or where a remote model lacks the part."""

    def watch_part(
        figures: Mapping[str, tuple[str, Callable[[T], float]]],
        part: Callable[[Served], T | None],
        watch_figure: Callable[[str, str, Callable[[], float]], None] = metrics.watch,
    ) -> None:
        for name, (text, read) in figures.items():
            watch_figure(name, text, partial(value_of, service, part, read))

    watch_part(CARD, lambda served: served.card)
    watch_part(BATCHER, lambda served: served.batcher)
    watch_part(TOKENIZING, lambda served: served.tokenizing)
    watch_part(STATES, lambda served: served.state_cache)
    watch_part(STATE_TOTALS, lambda served: served.state_cache, metrics.watch_total)


def value_of(
    service: Service, part: Callable[[Served], T | None], read: Callable[[T], float]
) -> float:
    model_part = part(service.served) if service.served else None
    return 0.0 if model_part is None else read(model_part)
