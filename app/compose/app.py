"""The composition root: the whole service, from its settings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from fastapi import FastAPI

from app.api import build_api
from app.api.access import PROBES
from app.api.auth import read_key, read_keys
from app.api.dialects import DIALECTS
from app.api.dialects.registry import Registry
from app.api.exposure import Exposure
from app.api.inflight import InflightBytes
from app.api.limits import RequestLimits
from app.api.wiring import Wiring, wiring_of
from app.compose import loading
from app.compose.answer import OpenFirstStage, has_store, open_answers, open_first_stage
from app.compose.gauges import watch
from app.compose.loading import Load
from app.compose.model import open_fallback, open_model
from app.compose.shared import make_shared_cache, opened
from app.compose.tracing import open_tracer
from app.errors import LoadFailed
from app.event_loop import loop_watched
from app.events import Observe
from app.metrics import Metrics
from app.observing import harmless
from app.server.exit_limit import ExitLimit
from app.server.leaving import Times
from app.server.limits import Limits, default_connections
from app.server.serving import Server
from app.service import Served, Service
from app.settings import Settings
from app.shared_cache.cache import SharedCache
from app.tracing.tracer import Tracer
from app.via import new_mark

OpenModel = Callable[
    [Settings, Observe, str, SharedCache | None], AbstractAsyncContextManager[Served]
]


def open_soon(
    settings: Settings,
    observe: Observe,
    mark: str,
    shared: SharedCache | None = None,
    *,
    load: Load | None = None,
) -> AbstractAsyncContextManager[Served]:
    """A model that is served before its engine is chosen. `load` may have begun already."""
    load = load or partial(loading.load_soon, settings, at_once=True)
    return open_model(settings, observe, mark, load=load, shared=shared)


def create_app(
    settings: Settings,
    fatal: Callable[[LoadFailed], None],
    first_stage: OpenFirstStage = open_first_stage,
    opens_model: OpenModel = open_soon,
) -> FastAPI:
    """The whole service. `fatal` is called when the model cannot be served.

    Raises BadKeys, or LoadFailed if a library for traces or for the shared cache is missing.
    """
    metrics, mark, tracer = Metrics(), new_mark(), open_tracer(settings)
    observe = harmless(metrics.observe)
    inflight = InflightBytes(settings.max_inflight_mb * 2**20)
    shared = make_shared_cache(settings, observe)
    service = Service(
        lambda: opens_model(settings, observe, mark, shared),
        lambda ranker: open_answers(settings, metrics, observe, first_stage, ranker, tracer),
        fatal,
    )
    watch(service, metrics, inflight)

    def lifespan(_: FastAPI) -> AbstractAsyncContextManager[None]:
        fallback = open_fallback(settings, metrics, observe, mark)
        return running(service, observe, shared, tracer, fallback)

    wiring = Wiring(
        service,
        metrics,
        observe,
        tracer,
        request_limits(settings),
        Registry(DIALECTS),
        exposure_of(settings),
        partial(has_store, settings),
        mark,
    )
    return build_api(wiring, inflight, lifespan)


@asynccontextmanager
async def running(
    service: Service,
    observe: Observe,
    shared: SharedCache | None,
    tracer: Tracer,
    opened_fallback: AbstractAsyncContextManager[Served | None],
) -> AsyncIterator[None]:
    async with loop_watched(observe), opened(shared), opened_fallback as fallback:
        service.start(fallback)
        yield
        await service.stop()
        await asyncio.to_thread(tracer.close)


def request_limits(settings: Settings) -> RequestLimits:
    return RequestLimits(
        body_bytes=settings.max_body_bytes,
        documents=settings.max_documents,
        document_chars=settings.max_document_chars,
        query_chars=settings.max_query_chars,
        json_values=settings.json_values,
    )


def exposure_of(settings: Settings) -> Exposure:
    return Exposure(
        keys=read_keys(settings.api_keys, settings.api_keys_file),
        metrics_key=read_key(settings.metrics_key, "metrics_key"),
        admin_key=read_key(settings.admin_key, "admin_key"),
        allowed_hosts=settings.allowed_hosts,
        cors_origins=settings.cors_origins,
        docs=settings.docs,
        ui=settings.ui,
        fallback_on_request=settings.fallback_on_request,
        share_cache=settings.share_cache,
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
    wiring = wiring_of(app)
    server = Server(
        app,
        connection_limits(settings, descriptors),
        service=wiring.service,
        times=Times(drain=settings.drain_seconds, lame_duck=settings.lame_duck_seconds),
        settled=wiring.service.settled if lifespan else None,
        observe=wiring.observe,
        exit_limit=exit_limit,
        lifespan=lifespan,
    )
    connections = server.connections
    wiring.metrics.watch_connections(lambda: len(connections), lambda: connections.unread_bytes)
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
