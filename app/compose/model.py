"""Opens what ranks, as the settings say: the model of this process, or another service."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from app.compose import loading
from app.compose.choosing import choose_engine
from app.compose.loading import Load, spec_of
from app.compose.shared import namespace_of
from app.engines import LoadedModel, Pair
from app.engines.spec import ModelSpec
from app.engines.words import WordEvidence
from app.events import ModelLoaded, Observe, ignore
from app.metrics import Metrics
from app.model_card import ModelCard
from app.remote.providers import find_target
from app.remote.reranking import Remote, open_client
from app.rerank.batcher import Batcher, Limits
from app.rerank.cache import Cache
from app.rerank.calibration import Calibration, read_calibration
from app.rerank.daily_documents import DailyDocuments
from app.rerank.fallback import Limited
from app.rerank.health import watched
from app.rerank.query import WINDOWS
from app.rerank.reranker import Reranker
from app.rerank.warmup import warm_up
from app.service import Served, Successor
from app.settings import Settings, is_remote
from app.shared_cache.cache import ModelScores, SharedCache

logger = logging.getLogger(__name__)

TOKENIZER_THREADS = 2
# Between the time limit of a request and the end of its handler.
LAST_ANSWER_SECONDS = 10.0
# A GPU or a CPU of few threads computes larger batches no faster.
MIN_BATCH_TOKENS = 1_024


@asynccontextmanager
async def open_model(
    settings: Settings,
    observe: Observe = ignore,
    mark: str = "",
    *,
    load: Load | None = None,
    shared: SharedCache | None = None,
) -> AsyncIterator[Served]:
    """The model of this process, or another service.

    `load` may give a model before its engine is chosen; its successor is then opened.
    """
    started = asyncio.get_running_loop().time()
    if is_remote(settings.model):
        opened = open_remote(settings, settings.model, observe, settings.model_name, mark=mark)
    else:
        opened = open_local(settings, observe, load=load, shared=shared)
    async with opened as served:
        observe(ModelLoaded(asyncio.get_running_loop().time() - started, served.card))
        yield served


@asynccontextmanager
async def open_remote(
    settings: Settings, model: str, observe: Observe, name: str = "", *, mark: str = ""
) -> AsyncIterator[Served]:
    async with open_client(
        target := find_target(model, settings.upstream_url),
        settings.upstream_api_key,
        settings.upstream_timeout_ms / 1000,
    ) as client:
        limit = settings.timeout_ms / 1000
        remote = Remote(target, client, limit, observe, name=name, mark=mark)
        yield Served(remote, remote.card)


@asynccontextmanager
async def open_fallback(
    settings: Settings, metrics: Metrics, observe: Observe, mark: str
) -> AsyncIterator[Served | None]:
    """Another service behind the local model, for so many documents a day."""
    if not settings.fallback:
        yield None
        return
    daily = DailyDocuments(settings.fallback_daily_documents, settings.fallback_budget_file)
    metrics.watch_fallback(lambda: daily.left)
    async with open_remote(settings, settings.fallback, observe, mark=mark) as served:
        yield replace(served, reranker=Limited(served.reranker, daily, observe))


@asynccontextmanager
async def open_local(
    settings: Settings,
    observe: Observe,
    *,
    load: Load | None = None,
    shared: SharedCache | None = None,
) -> AsyncIterator[Served]:
    """Load, warm up, serve. Two threads for the engine, though most use one."""
    loop = asyncio.get_running_loop()
    with (
        threads(2, "engine") as engine_threads,
        threads(TOKENIZER_THREADS, "tokenizer") as tokenizer_threads,
    ):
        load = load or partial(loading.load_soon, settings)
        model, is_open = await loop.run_in_executor(engine_threads, load)
        shared_scores = await share_scores(shared, settings, model, engine_threads)

        async def score(pairs: Sequence[Pair]) -> Sequence[float]:
            return await loop.run_in_executor(engine_threads, model.engine.score, pairs)

        limits = limits_of(settings, model)
        async with Batcher(score, limits, observe, model.engine.slicing.cost) as batcher:
            reranker = make_reranker(
                settings, model, batcher, tokenizer_threads, observe, shared_scores
            )
            probe = await warm_up(model.encoder, batcher)
            async with watched(batcher, probe):
                yield Served(
                    reranker,
                    card_of(model, limits, calibrated=bool(settings.calibration), is_open=is_open),
                    batcher,
                    reranker.tokenizing,
                    model.engine.memory,
                    model.engine.state_cache,
                    successor_of(settings, observe, shared) if is_open else None,
                )


def make_reranker(
    settings: Settings,
    model: LoadedModel,
    batcher: Batcher,
    tokenizer_threads: Executor,
    observe: Observe,
    shared_scores: ModelScores | None,
) -> Reranker:
    clock = asyncio.get_running_loop().time
    evidence = word_evidence(settings)
    return Reranker(
        model.name,
        model.encoder,
        batcher,
        Cache(settings.cache_mb * 2**20, settings.cache_ttl_seconds, clock),
        tokenizer_threads,
        timeout=settings.timeout_ms / 1000,
        observe=observe,
        calibration=load_calibration(settings, model),
        windows=WINDOWS[settings.long_documents],
        tokenizers=TOKENIZER_THREADS,
        shared_scores=shared_scores,
        compare=evidence.compare if evidence else None,
    )


def word_evidence(settings: Settings) -> WordEvidence | None:
    """Of a model in a folder: one from a hub has no such weights."""
    spec = spec_of(settings)
    return WordEvidence.of(Path(spec.source)) if spec.is_folder else None


async def share_scores(
    shared: SharedCache | None, settings: Settings, model: LoadedModel, executor: Executor
) -> ModelScores | None:
    if shared is None:
        return None
    # A model may have gigabytes to take the digest of.
    namespace = partial(namespace_of, spec_of(settings), model)
    loop = asyncio.get_running_loop()
    return shared.of_model(await loop.run_in_executor(executor, namespace))


def successor_of(settings: Settings, observe: Observe, shared: SharedCache | None) -> Successor:
    """No request takes longer than the time limit, and what a handler does after it."""
    return Successor(
        lambda: open_chosen(settings, observe, shared),
        settings.timeout_ms / 1000 + LAST_ANSWER_SECONDS,
    )


@asynccontextmanager
async def open_chosen(
    settings: Settings, observe: Observe, shared: SharedCache | None
) -> AsyncIterator[Served | None]:
    """The model with the engine that another process chooses, which gives its memory back."""
    async with AsyncExitStack() as stack:
        spec = spec_of(settings)
        if not is_kept(spec):
            aside = stack.enter_context(TemporaryDirectory(prefix="rerankd-"))
            settings = settings.model_copy(update={"engines": Path(aside)})
            spec = spec_of(settings)
        if not await choose_engine(spec):
            yield None
            return
        served = await stack.enter_async_context(open_local(settings, observe, shared=shared))
        observe(ModelLoaded(served.card.load_seconds, served.card))
        yield served


def limits_of(settings: Settings, model: LoadedModel) -> Limits:
    slicing = model.engine.slicing
    # A GPU computes one batch while another is prepared.
    overlap = slicing.streams > 1 or model.engine.device.startswith("cuda")
    by_device = max(MIN_BATCH_TOKENS, slicing.streams * slicing.tokens)
    return Limits(
        # More than may wait would not come together.
        min(settings.max_batch_tokens or by_device, settings.max_queue_tokens),
        settings.max_queue_tokens,
        settings.max_wait_ms / 1000,
        at_once=2 if overlap else 1,
    )


def is_kept(spec: ModelSpec) -> bool:
    """Whether what is measured for this model can be kept."""
    from app.engines.converted_model import converted_folder  # noqa: PLC0415 (as above)
    from app.engines.converting import writable  # noqa: PLC0415 (as above)

    folder = converted_folder(spec)
    return folder is not None and writable(folder.parent)


@contextmanager
def threads(count: int, name: str) -> Iterator[Executor]:
    """An executor that is not waited for: a model that loads cannot be interrupted."""
    executor = ThreadPoolExecutor(count, name)
    try:
        yield executor
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def load_calibration(settings: Settings, model: LoadedModel) -> Calibration | None:
    return read_calibration(settings.calibration, model.name) if settings.calibration else None


def card_of(model: LoadedModel, limits: Limits, *, calibrated: bool, is_open: bool) -> ModelCard:
    return ModelCard(
        model=model.name,
        revision=model.revision or None,
        architecture=model.architecture,
        engine=model.engine.name,
        device=model.engine.device,
        dtype=model.engine.dtype,
        max_length=model.encoder.max_tokens,
        max_batch_tokens=limits.max_batch_tokens,
        max_queue_tokens=limits.max_queue_tokens,
        takes_instruction=model.encoder.takes_instruction,
        scores=("probability", "logit", *(["calibrated"] if calibrated else [])),
        load_seconds=round(model.seconds, 2),
        choosing_engine=is_open,
        libraries=libraries(),
    )


def libraries() -> dict[str, str]:
    """The versions of those that are installed: a slim installation has no torch."""
    from app.engines.backends import BACKENDS  # noqa: PLC0415 (as above)
    from app.engines.converted_model import NOT_INSTALLED, installed  # noqa: PLC0415 (as above)

    versions = {name: installed(name) for name in BACKENDS}
    return {name: version for name, version in versions.items() if version != NOT_INSTALLED}
