"""The composition root: the only room that knows everyone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

from fastapi import FastAPI
from pydantic import SecretStr

from app.answer.opening import DEFAULT_STORE, FirstStage
from app.api import build_api
from app.api.auth import read_keys
from app.api.limits import RequestLimits
from app.errors import LoadFailed
from app.metrics import Metrics
from app.rerank.batcher import Batcher, Limits
from app.rerank.cache import Cache
from app.rerank.calibration import Calibration, read_calibration
from app.rerank.engine import LoadedModel, Pair
from app.rerank.engine.spec import ModelSpec
from app.rerank.query import WINDOWS
from app.rerank.reranker import Reranker
from app.rerank.warmup import warm_up
from app.service import Served, Service
from app.settings import Settings, is_remote
from app.upstream.reranking import Remote, open_client
from app.upstream.wires import find_target

LEAST_BATCH_TOKENS = 1_024  # by default; the engine cuts a batch into slices as it likes them


def create_app(settings: Settings, fatal: Callable[[LoadFailed], None]) -> FastAPI:
    """The whole service. `fatal` is told when the model cannot be served."""
    metrics = Metrics()
    service = Service(lambda: open_model(settings, metrics), fatal)
    watch(service, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            fallback = None
            if settings.fallback:
                behind = open_remote(settings, settings.fallback, metrics)
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
        ),
        keys=read_keys(settings.api_keys, settings.api_keys_file),
        cors_origins=settings.cors_origins,
        lifespan=lifespan,
    )


@contextmanager
def threads(count: int, name: str) -> Iterator[Executor]:
    """An executor that is not waited for: a model that loads cannot be interrupted."""
    executor = ThreadPoolExecutor(count, name)
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


@asynccontextmanager
async def open_model(settings: Settings, metrics: Metrics) -> AsyncIterator[Served]:
    """The model of this process, or another service in its place."""
    remote = is_remote(settings.model)
    opened = (
        open_remote(settings, settings.model, metrics, settings.model_name)
        if remote
        else open_local(settings, metrics)
    )
    async with opened as served:
        if remote:
            metrics.loaded(0.0, served.facts)
        yield served


@asynccontextmanager
async def open_remote(
    settings: Settings, model: str, metrics: Metrics, name: str = ""
) -> AsyncIterator[Served]:
    async with open_client(
        target := find_target(model, settings.upstream_url),
        settings.upstream_api_key,
        settings.upstream_timeout_ms / 1000,
    ) as client:
        limit = settings.timeout_ms / 1000
        observers = (metrics.ranked, metrics.upstream)
        remote = Remote(target, client, limit, *observers, name=name)
        yield Served(remote, facts=remote.facts)


@asynccontextmanager
async def open_local(settings: Settings, metrics: Metrics) -> AsyncIterator[Served]:
    """Load, warm up, serve. One thread for the engine, two for the tokenizer."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    with threads(1, "engine") as engine_thread, threads(2, "tokenizer") as tokenizer_threads:
        model = await loop.run_in_executor(engine_thread, load_model, settings)
        calibration = load_calibration(settings, model)

        async def score(pairs: Sequence[Pair]) -> Sequence[float]:
            return await loop.run_in_executor(engine_thread, model.engine.score, pairs)

        slicing = model.engine.slicing
        limits = Limits(
            max_batch_tokens=min(
                settings.max_batch_tokens or max(LEAST_BATCH_TOKENS, slicing.tokens),
                settings.max_queue_tokens,  # more than may wait would not come together
            ),
            max_queue_tokens=settings.max_queue_tokens,
            max_wait=settings.max_wait_ms / 1000,
        )
        cache = Cache(settings.cache_mb * 2**20, settings.cache_ttl_seconds, loop.time)
        async with Batcher(score, limits, metrics.batch, slicing.cost) as batcher:
            reranker = Reranker(
                model.name,
                model.encoder,
                batcher,
                cache,
                tokenizer_threads,
                timeout=settings.timeout_ms / 1000,
                observe=metrics.ranked,
                calibration=calibration,
                windows=WINDOWS[settings.long_documents],
            )
            await warm_up(model.encoder, batcher)
            told = facts(model, limits, calibration)
            metrics.loaded(loop.time() - started, told)
            yield Served(reranker, batcher, model.engine.memory, told)


def load_model(settings: Settings) -> LoadedModel:
    from app.rerank.engine.loading import load  # noqa: PLC0415 (tokenizers takes a while)

    return load(spec_of(settings))


def spec_of(settings: Settings) -> ModelSpec:
    return ModelSpec(
        name=settings.model,
        shown_as=settings.model_name,
        revision=settings.revision,
        device=settings.device,
        engine=settings.engine,
        dtype=settings.dtype,
        max_length=settings.max_length,
        threads=settings.threads,
        offline=settings.offline,
        trust_remote_code=settings.trust_remote_code,
        engines=settings.engines.expanduser(),
    )


def first_stage(settings: Settings) -> FirstStage:
    def plain(secret: SecretStr | None) -> str:
        return secret.get_secret_value() if secret else ""

    return FirstStage(
        stores=[one.get_secret_value() for one in settings.store] or [DEFAULT_STORE],
        collection=settings.collection,
        store_key=plain(settings.store_api_key),
        store_seconds=settings.store_timeout_ms / 1000,
        embedder=settings.embedder,
        embedder_model=settings.embedder_model,
        embedder_key=plain(settings.embedder_api_key),
        embedder_seconds=settings.embedder_timeout_ms / 1000,
        offline=settings.offline,
    )


def load_calibration(settings: Settings, model: LoadedModel) -> Calibration | None:
    return read_calibration(settings.calibration, model.name) if settings.calibration else None


def facts(
    model: LoadedModel, limits: Limits, calibration: Calibration | None = None
) -> dict[str, Any]:
    """What `/info` tells of the model."""
    return {
        "model": model.name,
        "revision": model.revision or None,
        "architecture": model.architecture,
        "engine": model.engine.name,
        "device": model.engine.device,
        "dtype": model.engine.dtype,
        "max_length": model.encoder.max_tokens,
        "max_batch_tokens": limits.max_batch_tokens,
        "max_queue_tokens": limits.max_queue_tokens,
        "takes_instruction": model.encoder.takes_instruction,
        "scores": ["probability", "logit", *(["calibrated"] if calibration else [])],
        "load_seconds": round(model.seconds, 2),
    }


def watch(service: Service, metrics: Metrics) -> None:
    """Gauges that are read when Prometheus asks, before the model is there too."""

    def watch_served(name: str, help_text: str, read: Callable[[Served], float]) -> None:
        metrics.watch(name, help_text, lambda: read(service.served) if service.served else 0.0)

    def watch_batcher(name: str, help_text: str, read: Callable[[Batcher], float]) -> None:
        watch_served(name, help_text, lambda one: read(one.batcher) if one.batcher else 0.0)

    metrics.watch("ready", "1 while requests can be served", lambda: service.problem is None)
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
