"""The composition root: the only room that knows everyone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from fastapi import FastAPI

from app.answer.pipeline import Retrieves
from app.answers import OpenFirstStage, no_first_stage, open_answers
from app.api import build_api
from app.api.auth import read_keys
from app.api.limits import RequestLimits
from app.errors import LoadFailed
from app.metrics import Metrics
from app.rerank.batcher import Batcher, Limits
from app.rerank.cache import Cache
from app.rerank.calibration import Calibration, read_calibration
from app.rerank.engine import LoadedModel, Pair
from app.rerank.reranker import Reranker
from app.rerank.warmup import warm_up
from app.service import Served, Service
from app.settings import Settings

WINDOWS = {"cut": 0, "windows": 256}
DEFAULT_BATCH_TOKENS = {"cpu": 2_048, "mps": 8_192, "cuda": 32_768}


@asynccontextmanager
async def open_first_stage(_: Settings, __: Metrics) -> AsyncIterator[Retrieves | None]:
    """What finds candidates for `/answer`, watched by `Metrics.searched`; None: nothing does."""
    yield None


def create_app(
    settings: Settings,
    fatal: Callable[[LoadFailed], None],
    first_stage: OpenFirstStage = open_first_stage,
) -> FastAPI:
    """The whole service. `fatal` is told when the model cannot be served."""
    metrics = Metrics()
    service = Service(lambda: open_model(settings, metrics, first_stage), fatal)
    watch(service, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
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
async def open_model(
    settings: Settings, metrics: Metrics, first_stage: OpenFirstStage = no_first_stage
) -> AsyncIterator[Served]:
    """Load, warm up, serve. One thread for the engine, two for the tokenizer."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    with threads(1, "engine") as engine_thread, threads(2, "tokenizer") as tokenizer_threads:
        model = await loop.run_in_executor(engine_thread, load_model, settings)
        calibration = load_calibration(settings, model)

        async def score(pairs: Sequence[Pair]) -> Sequence[float]:
            return await loop.run_in_executor(engine_thread, model.engine.score, pairs)

        device = model.engine.device.partition(":")[0]
        limits = Limits(
            max_batch_tokens=settings.max_batch_tokens or DEFAULT_BATCH_TOKENS[device],
            max_queue_tokens=settings.max_queue_tokens,
            max_wait=settings.max_wait_ms / 1000,
        )
        cache = Cache(settings.cache_mb * 2**20, settings.cache_ttl_seconds, loop.time)
        async with Batcher(score, limits, metrics.batch) as batcher:
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
            async with open_answers(settings, metrics, first_stage, reranker) as answering:
                yield Served(reranker, batcher, model.engine.memory, told, answering)


def load_model(settings: Settings) -> LoadedModel:
    from app.rerank.engine.loading import ModelSpec, load  # noqa: PLC0415 (torch takes seconds)

    return load(
        ModelSpec(
            name=settings.model,
            shown_as=settings.model_name,
            revision=settings.revision,
            device=settings.device,
            dtype=settings.dtype,
            max_length=settings.max_length,
            threads=settings.threads,
            offline=settings.offline,
            trust_remote_code=settings.trust_remote_code,
        )
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

    metrics.watch("ready", "1 while requests can be served", lambda: service.problem is None)
    watch_served("queue_tokens", "Tokens waiting", lambda one: one.batcher.waiting_tokens)
    watch_served(
        "queue_tokens_limit",
        "Tokens that may wait; more is refused",
        lambda one: one.facts["max_queue_tokens"],
    )
    watch_served(
        "batch_tokens_limit",
        "Tokens a batch may hold; falls when memory runs out",
        lambda one: one.batcher.budget,
    )
    watch_served(
        "batch_tokens_configured",
        "Tokens a batch might hold at start",
        lambda one: one.facts["max_batch_tokens"],
    )
    watch_served(
        "tokens_per_second",
        "How fast the engine drains the queue",
        lambda one: one.batcher.pace.tokens_per_second,
    )
    watch_served(
        "device_memory_bytes",
        "Memory held on a GPU; 0 on a CPU",
        lambda one: one.memory(),
    )
