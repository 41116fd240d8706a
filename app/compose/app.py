"""The composition root: the whole service, from its settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from app import log_queue
from app.api import build_api
from app.api.access import PROBES
from app.api.auth import read_key, read_keys
from app.api.exposure import Exposure
from app.api.inflight import InflightBytes
from app.api.limits import RequestLimits
from app.compose.answer import OpenFirstStage, open_answers, open_first_stage
from app.compose.model import open_fallback, open_model
from app.errors import LoadFailed
from app.event_loop import loop_watched
from app.metrics import Metrics
from app.model_card import ModelCard
from app.observing import harmless
from app.rerank.allowance import Allowance
from app.rerank.batcher import Batcher
from app.rerank.tokenizing import Tokenizing
from app.server.exit_limit import ExitLimit
from app.server.limits import Limits, default_connections
from app.server.serving import Server
from app.service import Service
from app.settings import Settings
from app.state import READY
from app.via import new_mark


def create_app(
    settings: Settings,
    fatal: Callable[[LoadFailed], None],
    first_stage: OpenFirstStage = open_first_stage,
) -> FastAPI:
    """The whole service. `fatal` is told when the model cannot be served."""
    metrics, mark = Metrics(), new_mark()
    observe = harmless(metrics.observe)
    inflight = InflightBytes(settings.max_inflight_mb * 2**20)
    service = Service(
        lambda: open_model(settings, observe, mark),
        lambda ranker: open_answers(settings, metrics, first_stage, ranker),
        fatal,
    )
    watch(service, metrics, inflight)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(loop_watched(observe))
            fallback = None
            if settings.fallback:
                allowance = Allowance(
                    settings.fallback_daily_documents, settings.fallback_budget_file
                )
                metrics.watch_fallback(lambda: allowance.left)
                fallback = await stack.enter_async_context(
                    open_fallback(settings, allowance, observe, mark)
                )
            service.start(fallback)
            yield
            await service.stop()

    return build_api(
        service,
        metrics,
        observe,
        RequestLimits(
            body_bytes=settings.max_body_bytes,
            documents=settings.max_documents,
            document_chars=settings.max_document_chars,
            query_chars=settings.max_query_chars,
            json_values=settings.json_values,
        ),
        inflight=inflight,
        mark=mark,
        exposure=Exposure(
            keys=read_keys(settings.api_keys, settings.api_keys_file),
            metrics_key=read_key(settings.metrics_key, "metrics_key"),
            allowed_hosts=settings.allowed_hosts,
            cors_origins=settings.cors_origins,
            docs=settings.docs,
        ),
        share_cache=settings.share_cache,
        lifespan=lifespan,
    )


def create_server(
    app: FastAPI,
    settings: Settings,
    descriptors: int,
    exit_limit: ExitLimit | None = None,
    *,
    lifespan: bool = True,
) -> Server:
    """What serves the app over sockets; `descriptors` is how many the process may open."""
    service: Service = app.state.service
    metrics: Metrics = app.state.metrics
    server = Server(
        app,
        connection_limits(settings, descriptors),
        drain=service.drain,
        drain_seconds=settings.drain_seconds,
        settled=service.settled if lifespan else None,
        observe=harmless(metrics.observe),
        exit_limit=exit_limit,
        lifespan=lifespan,
    )
    connections = server.connections
    metrics.watch_connections(lambda: len(connections), lambda: connections.unread_bytes)
    return server


def connection_limits(settings: Settings, descriptors: int) -> Limits:
    return Limits(
        connections=settings.max_connections or default_connections(descriptors),
        header_bytes=settings.max_header_bytes,
        header_seconds=settings.header_seconds,
        body_idle_seconds=settings.body_idle_seconds,
        body_seconds=settings.body_seconds,
        write_stall_seconds=settings.write_stall_seconds,
        keep_alive_seconds=settings.keep_alive_seconds,
        unread_bytes=settings.max_unread_mb * 2**20,
        reserve_paths=frozenset(path.encode() for path in PROBES),
    )


def watch(service: Service, metrics: Metrics, inflight: InflightBytes) -> None:
    """Gauges that are read at each scrape, also before the model is there."""

    def watch_card(name: str, help_text: str, read: Callable[[ModelCard], float]) -> None:
        metrics.watch(name, help_text, lambda: read(service.served.card) if service.served else 0)

    def watch_batcher(name: str, help_text: str, read: Callable[[Batcher], float]) -> None:
        metrics.watch(
            name,
            help_text,
            lambda: read(batcher) if (batcher := batcher_of(service)) is not None else 0,
        )

    def watch_tokenizing(name: str, help_text: str, read: Callable[[Tokenizing], float]) -> None:
        metrics.watch(
            name,
            help_text,
            lambda: read(tokenizing) if (tokenizing := tokenizing_of(service)) is not None else 0,
        )

    metrics.watch_total(
        "log_lines_dropped", "Log lines that nobody read in time", log_queue.dropped_lines
    )
    metrics.watch("ready", "1 while requests can be served", lambda: service.state == READY)
    metrics.watch(
        "inflight_bytes", "Bodies of requests being read or answered", lambda: inflight.held
    )
    metrics.watch("inflight_bytes_limit", "Bytes that such bodies may take", lambda: inflight.limit)
    watch_batcher("queue_tokens", "Tokens waiting", lambda batcher: batcher.waiting_tokens)
    watch_card(
        "queue_tokens_limit",
        "Tokens that may wait; more is refused",
        lambda card: card.max_queue_tokens,
    )
    watch_batcher(
        "batch_tokens_limit",
        "Tokens a batch may hold; falls when memory runs out",
        lambda batcher: batcher.budget,
    )
    watch_card(
        "batch_tokens_configured",
        "Tokens a batch might hold at start",
        lambda card: card.max_batch_tokens,
    )
    watch_batcher(
        "tokens_per_second",
        "How fast the engine drains the queue",
        lambda batcher: batcher.pace.tokens_per_second,
    )
    watch_batcher(
        "batch_age_seconds",
        "How long the engine has been at its oldest batch; 0 while it has none",
        lambda batcher: batcher.calls.age,
    )
    watch_tokenizing(
        "tokenizer_chars_waiting",
        "Characters waiting to be tokenized",
        lambda tokenizing: tokenizing.waiting_chars,
    )
    watch_tokenizing(
        "tokenizer_chars_per_second",
        "How fast texts are tokenized",
        lambda tokenizing: tokenizing.pace.tokens_per_second,
    )
    metrics.watch(
        "device_memory_bytes",
        "Memory held on a GPU; 0 on a CPU",
        lambda: service.served.memory() if service.served else 0,
    )


def batcher_of(service: Service) -> Batcher | None:
    return service.served.batcher if service.served else None


def tokenizing_of(service: Service) -> Tokenizing | None:
    return service.served.tokenizing if service.served else None
