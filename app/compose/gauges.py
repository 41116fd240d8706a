"""Gauges that are read at each scrape, also before the model is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeVar

from app import log_queue
from app.api.inflight import InflightBytes
from app.metrics import Metrics
from app.model_card import ModelCard
from app.rerank.batcher import Batcher
from app.rerank.tokenizing import Tokenizing
from app.service import Served, Service
from app.state import READY

T = TypeVar("T")

CARD: Mapping[str, tuple[str, Callable[[ModelCard], float]]] = {
    "queue_tokens_limit": (
        "Tokens that may wait; more is refused",
        lambda card: card.max_queue_tokens,
    ),
    "batch_tokens_configured": (
        "Tokens a batch might hold at start",
        lambda card: card.max_batch_tokens,
    ),
}
BATCHER: Mapping[str, tuple[str, Callable[[Batcher], float]]] = {
    "queue_tokens": ("Tokens waiting", lambda batcher: batcher.waiting_tokens),
    "batch_tokens_limit": (
        "Tokens a batch may hold; falls when memory runs out",
        lambda batcher: batcher.budget,
    ),
    "tokens_per_second": (
        "How fast the engine drains the queue",
        lambda batcher: batcher.pace.tokens_per_second,
    ),
    "batch_age_seconds": (
        "How long the engine has been at its oldest batch; 0 while it has none",
        lambda batcher: batcher.calls.age,
    ),
}
TOKENIZING: Mapping[str, tuple[str, Callable[[Tokenizing], float]]] = {
    "tokenizer_chars_waiting": (
        "Characters waiting to be tokenized",
        lambda tokenizing: tokenizing.waiting_chars,
    ),
    "tokenizer_chars_per_second": (
        "How fast texts are tokenized",
        lambda tokenizing: tokenizing.pace.tokens_per_second,
    ),
}


def watch(service: Service, metrics: Metrics, inflight: InflightBytes) -> None:
    metrics.watch("ready", "1 while requests can be served", lambda: service.state == READY)
    metrics.watch(
        "inflight_bytes", "Bodies of requests being read or answered", lambda: inflight.held
    )
    metrics.watch("inflight_bytes_limit", "Bytes that such bodies may take", lambda: inflight.limit)
    metrics.watch_total(
        "log_lines_dropped", "Log lines that nobody read in time", log_queue.dropped_lines
    )
    metrics.watch(
        "device_memory_bytes",
        "Memory held on a GPU; 0 on a CPU",
        lambda: service.served.memory() if service.served else 0,
    )
    watch_model(service, metrics)


def watch_model(service: Service, metrics: Metrics) -> None:
    """A part of a model that is not there, or that another service lacks, reads as 0."""

    def watch_part(
        gauges: Mapping[str, tuple[str, Callable[[T], float]]], part: Callable[[Served], T | None]
    ) -> None:
        for name, (text, read) in gauges.items():
            metrics.watch(name, text, partial(value_of, service, part, read))

    watch_part(CARD, lambda served: served.card)
    watch_part(BATCHER, lambda served: served.batcher)
    watch_part(TOKENIZING, lambda served: served.tokenizing)


def value_of(
    service: Service, part: Callable[[Served], T | None], read: Callable[[T], float]
) -> float:
    model_part = part(service.served) if service.served else None
    return 0.0 if model_part is None else read(model_part)
