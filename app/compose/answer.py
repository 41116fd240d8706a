"""Opens `/answer` as the settings say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from pydantic import SecretStr

from app.answer.harmless_tracer import HarmlessTracer
from app.answer.pipeline import Answering, Manner, Retrieves
from app.answer.tracing import NoTracer, Tracer
from app.compose.answering import KeyedLLM, Plan, open_answering
from app.errors import LoadFailed
from app.llm.client import Asking
from app.metrics import Metrics
from app.observing import harmless
from app.rerank.query import Ranker
from app.retrieval.opening import FirstStage, open_retriever
from app.retrieval.stores import DEFAULT_STORE
from app.settings import Settings
from app.settings.answering import NO_KEY

OpenFirstStage = Callable[[Settings, Metrics], AbstractAsyncContextManager[Retrieves | None]]


@asynccontextmanager
async def open_first_stage(settings: Settings, metrics: Metrics) -> AsyncIterator[Retrieves]:
    """What finds candidates for `/answer`."""
    async with open_retriever(
        first_stage(settings), observe=harmless(metrics.searched)
    ) as retriever:
        yield retriever


@asynccontextmanager
async def open_answers(
    settings: Settings, metrics: Metrics, first_stage: OpenFirstStage, reranker: Ranker
) -> AsyncIterator[Answering | None]:
    async with first_stage(settings, metrics) as retriever:
        if retriever is None:
            yield None
            return
        async with open_answering(
            plan_of(settings),
            retriever,
            reranker,
            tracer=open_tracer(settings),
            observe=harmless(metrics.answer),
            observe_llm=harmless(metrics.llm_called),
        ) as answering:
            metrics.watch_llms(answering.chain)
            yield answering


def plan_of(settings: Settings) -> Plan:
    keys = [key.get_secret_value() for key in settings.llm_keys] or [NO_KEY] * len(settings.llm)
    return Plan(
        llms=[
            KeyedLLM(*one, key=SecretStr("" if key == NO_KEY else key))
            for one, key in zip(settings.named_llms, keys, strict=True)
        ],
        asking=Asking(
            max_tokens=settings.llm_max_tokens,
            temperature=settings.llm_temperature,
            attempts=settings.llm_attempts,
            first_token=settings.llm_first_token_ms / 1000,
            total=settings.llm_timeout_ms / 1000,
        ),
        connect=settings.llm_connect_ms / 1000,
        concurrency=settings.llm_concurrency,
        queue=settings.llm_queue,
        daily_tokens=settings.llm_daily_tokens,
        budget_file=settings.llm_budget_file,
        manner=Manner(
            timeout=settings.timeout_ms / 1000,
            min_score=settings.answer_min_score,
            room=settings.llm_context_tokens - settings.llm_max_tokens,
            listwise=settings.llm_listwise,
        ),
        cache_seconds=settings.answer_cache_seconds,
        cache_bytes=settings.answer_cache_mb * 2**20,
        feedback_file=settings.feedback_file,
        feedback_bytes=settings.feedback_max_mb * 2**20,
    )


def open_tracer(settings: Settings) -> Tracer:
    if not settings.traces:
        return NoTracer()
    try:
        from app.answer.otel import OtelTracer  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise LoadFailed("traces needs OpenTelemetry: pip install 'rerankd[otel]'") from error
    return HarmlessTracer(OtelTracer(content=settings.trace_content))


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
        passage_chars=settings.max_document_chars,
    )
