"""Opens `/answer` as the settings say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
from pydantic import SecretStr

from app.answer.answerer import Answerer, AnswerPolicy, AnswerService, Retrieves
from app.answer.cache import AnswerCache, answer_cache
from app.answer.feedback import Feedback
from app.events import Observe
from app.llm.breaker import Breaker
from app.llm.budget import Budget
from app.llm.client import Client, LLMOptions
from app.llm.fallback_chain import FallbackChain, Link
from app.llm.formats import FORMATS
from app.llm.slots import Slots
from app.metrics import Metrics
from app.observing import harmless
from app.rerank.query import Ranker
from app.retrieval.address import read_address
from app.retrieval.opening import FirstStage, open_retriever
from app.retrieval.stores import DEFAULT_STORE
from app.settings import Settings
from app.settings.answering import NO_KEY
from app.tracing.tracer import Tracer
from app.upstream.reading import ACCEPTED_ENCODINGS

OpenFirstStage = Callable[[Settings, Observe], AbstractAsyncContextManager[Retrieves | None]]


@asynccontextmanager
async def open_first_stage(settings: Settings, observe: Observe) -> AsyncIterator[Retrieves]:
    """The stores that give the candidates for `/answer`."""
    async with open_retriever(first_stage(settings), observe=observe) as retriever:
        yield retriever


@asynccontextmanager
async def open_answers(
    settings: Settings,
    metrics: Metrics,
    observe: Observe,
    first_stage: OpenFirstStage,
    reranker: Ranker,
    tracer: Tracer,
) -> AsyncIterator[AnswerService | None]:
    async with first_stage(settings, observe) as retriever:
        if retriever is None:
            yield None
            return
        chain = open_chain(settings, observe) if settings.llm else None
        feedback = open_feedback(settings)
        if chain is not None:
            watch(chain, metrics)
        answerer = Answerer(
            retriever,
            reranker,
            chain,
            policy_of(settings),
            cache=open_cache(settings),
            tracer=tracer,
            observe=observe,
        )
        try:
            if feedback is None:
                yield AnswerService(answerer)
            else:
                yield AnswerService(answerer, feedback, harmless(feedback.remember))
        finally:
            if feedback is not None:
                feedback.close()
            if chain is not None:
                await chain.close()


def watch(chain: FallbackChain, metrics: Metrics) -> None:
    metrics.watch_llms(
        lambda: chain.budget.left,
        lambda: chain.slots.waiting,
        {link.llm.name: partial(getattr, link.breaker, "open") for link in chain.links},
    )


def policy_of(settings: Settings) -> AnswerPolicy:
    return AnswerPolicy(
        timeout=settings.timeout_ms / 1000,
        min_score=settings.answer_min_score,
        prompt_tokens=settings.llm_context_tokens - settings.llm_max_tokens,
        listwise=settings.llm_listwise,
    )


def open_cache(settings: Settings) -> AnswerCache:
    clock = asyncio.get_running_loop().time
    max_bytes = settings.answer_cache_mb * 2**20
    return answer_cache(settings.answer_cache_seconds, clock, max_bytes)


def open_feedback(settings: Settings) -> Feedback | None:
    if settings.feedback_file is None:
        return None
    clock = asyncio.get_running_loop().time
    return Feedback(settings.feedback_file, clock, settings.feedback_max_mb * 2**20)


def open_chain(settings: Settings, observe: Observe) -> FallbackChain:
    clock = asyncio.get_running_loop().time
    return FallbackChain(
        [Link(client, Breaker(clock)) for client in open_clients(settings)],
        Budget(settings.llm_daily_tokens, settings.llm_budget_file),
        Slots(settings.llm_concurrency, settings.llm_queue),
        max_tokens=settings.llm_max_tokens,
        observe=observe,
    )


def open_clients(settings: Settings) -> list[Client]:
    llms = settings.named_llms
    names = distinct([llm.model for llm in llms])
    options = options_of(settings)
    return [
        Client(
            name,
            FORMATS[llm.format].open(llm.url),
            llm.url,
            llm.model,
            key,
            open_http(settings),
            options,
        )
        for llm, name, key in zip(llms, names, keys_of(settings), strict=True)
    ]


def keys_of(settings: Settings) -> list[SecretStr]:
    """One for each language model, empty where none is sent."""
    keys = settings.llm_keys or [SecretStr(NO_KEY)] * len(settings.llm)
    return [SecretStr("") if key.get_secret_value() == NO_KEY else key for key in keys]


def options_of(settings: Settings) -> LLMOptions:
    return LLMOptions(
        max_tokens=settings.llm_max_tokens,
        temperature=settings.llm_temperature,
        attempts=settings.llm_attempts,
        first_token=settings.llm_first_token_ms / 1000,
        total=settings.llm_timeout_ms / 1000,
    )


def open_http(settings: Settings) -> httpx.AsyncClient:
    """The limit on reading is the client's own, for all of it; httpx's would be for each piece."""
    return httpx.AsyncClient(
        headers=ACCEPTED_ENCODINGS,
        timeout=httpx.Timeout(None, connect=settings.llm_connect_ms / 1000),
        limits=httpx.Limits(max_connections=None),
    )


def distinct(names: Sequence[str]) -> list[str]:
    """One model at two URLs is distinguished by its position."""
    return [
        name if names.count(name) == 1 else f"{name} ({position})"
        for position, name in enumerate(names, 1)
    ]


def first_stage(settings: Settings) -> FirstStage:
    def plain(secret: SecretStr | None) -> str:
        return secret.get_secret_value() if secret else ""

    return FirstStage(
        stores=[store.get_secret_value() for store in settings.store] or [DEFAULT_STORE],
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


def has_store(settings: Settings) -> bool:
    """Whether a store is named, or the usual file is there."""
    if settings.store:
        return True
    return Path(read_address(DEFAULT_STORE).path).exists()
