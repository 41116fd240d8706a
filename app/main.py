"""The composition root: the only room that knows everyone."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from app.answers import OpenFirstStage, open_answers, open_first_stage
from app.api import build_api
from app.api.auth import read_keys
from app.api.inflight import InflightBytes
from app.api.limits import RequestLimits
from app.errors import LoadFailed
from app.event_loop import loop_watched
from app.metrics import Metrics
from app.rankers import open_model, open_remote
from app.rerank.batcher import Batcher
from app.service import Served, Service
from app.settings import Settings
from app.via import new_mark


def create_app(
    settings: Settings,
    fatal: Callable[[LoadFailed], None],
    first_stage: OpenFirstStage = open_first_stage,
) -> FastAPI:
    """The whole service. `fatal` is told when the model cannot be served."""
    metrics, mark = Metrics(), new_mark()
    inflight = InflightBytes(settings.max_inflight_mb * 2**20)
    service = Service(
        lambda: open_model(settings, metrics, mark),
        lambda ranker: open_answers(settings, metrics, first_stage, ranker),
        fatal,
    )
    watch(service, metrics, inflight)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(loop_watched(metrics.loop_lagged))
            fallback = None
            if settings.fallback:
                behind = open_remote(settings, settings.fallback, metrics, mark=mark)
                fallback = await stack.enter_async_context(behind)
            service.start(fallback)
            yield
            await service.stop()

    return build_api(
        service,
        metrics,
        RequestLimits(
            body_bytes=settings.max_body_bytes,
            documents=settings.max_documents,
            document_chars=settings.max_document_chars,
            query_chars=settings.max_query_chars,
            json_values=settings.json_values,
        ),
        inflight=inflight,
        mark=mark,
        keys=read_keys(settings.api_keys, settings.api_keys_file),
        cors_origins=settings.cors_origins,
        lifespan=lifespan,
    )


def watch(service: Service, metrics: Metrics, inflight: InflightBytes) -> None:
    """Gauges that are read when Prometheus asks, before the model is there too."""

    def watch_served(name: str, help_text: str, read: Callable[[Served], float]) -> None:
        metrics.watch(name, help_text, lambda: read(service.served) if service.served else 0.0)

    def watch_batcher(name: str, help_text: str, read: Callable[[Batcher], float]) -> None:
        watch_served(name, help_text, lambda one: read(one.batcher) if one.batcher else 0.0)

    metrics.watch("ready", "1 while requests can be served", lambda: service.problem is None)
    metrics.watch(
        "inflight_bytes", "Bodies of requests being read or answered", lambda: inflight.held
    )
    metrics.watch("inflight_bytes_limit", "Bytes that such bodies may take", lambda: inflight.limit)
    watch_batcher("queue_tokens", "Tokens waiting", lambda one: one.waiting_tokens)
    watch_served(
        "queue_tokens_limit",
        "Tokens that may wait; more is refused",
        lambda one: one.facts["max_queue_tokens"],
    )
    watch_batcher(
        "batch_tokens_limit",
        "Tokens a batch may hold; falls when memory runs out",
        lambda one: one.budget,
    )
    watch_served(
        "batch_tokens_configured",
        "Tokens a batch might hold at start",
        lambda one: one.facts["max_batch_tokens"],
    )
    watch_batcher(
        "tokens_per_second",
        "How fast the engine drains the queue",
        lambda one: one.pace.tokens_per_second,
    )
    watch_served(
        "device_memory_bytes",
        "Memory held on a GPU; 0 on a CPU",
        lambda one: one.memory(),
    )
