"""Opens all that `/answer` needs, from plain values."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from pydantic import SecretStr

from app.answer.answered import Answer
from app.answer.cache import MAX_BYTES, Recent
from app.answer.feedback import Feedback
from app.answer.pipeline import Answerer, Answering, Manner, Retrieves
from app.answer.run import Observe
from app.answer.tracing import NoTracer, Tracer
from app.llm.breaker import Breaker
from app.llm.budget import Budget
from app.llm.chain import Called, Chain, Link
from app.llm.client import Asking, Client
from app.llm.formats import FORMATS
from app.llm.slots import Slots
from app.observing import harmless
from app.rerank.query import Ranker
from app.upstream.reading import ACCEPTED_ENCODINGS


@dataclass(frozen=True, slots=True)
class KeyedLLM:
    """One language model: the format that it speaks, where, as what, and with which key."""

    format: str
    url: str
    model: str
    key: SecretStr


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is decided before the first question."""

    llms: Sequence[KeyedLLM] = ()
    asking: Asking = field(default_factory=Asking)
    connect: float = 3.0  # seconds
    concurrency: int = 8
    queue: int = 16  # questions that wait for a language model
    daily_tokens: int = 0
    budget_file: Path | None = None
    manner: Manner = field(default_factory=Manner)
    cache_seconds: float = 0.0
    cache_bytes: int = MAX_BYTES
    feedback_file: Path | None = None
    feedback_bytes: int = 2**30


@asynccontextmanager
async def open_answering(
    plan: Plan,
    retriever: Retrieves,
    reranker: Ranker,
    *,
    tracer: Tracer | None = None,
    observe: Observe = lambda event: None,
    observe_llm: Callable[[Called], None] = lambda called: None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[Answering]:
    clock = asyncio.get_running_loop().time
    tracer = tracer or NoTracer()
    chain = open_chain(plan, observe_llm, transport) if plan.llms else None
    cache: Recent[Answer] = Recent(plan.cache_seconds, clock, max_bytes=plan.cache_bytes)
    file = plan.feedback_file
    feedback = Feedback(file, clock, plan.feedback_bytes) if file else None
    answerer = Answerer(
        retriever, reranker, chain, plan.manner, cache=cache, tracer=tracer, observe=observe
    )
    try:
        yield Answering(
            answerer, chain, feedback, *([harmless(feedback.remember)] if feedback else [])
        )
    finally:
        if feedback is not None:
            feedback.close()
        if chain is not None:
            await chain.close()
        await asyncio.to_thread(tracer.close)


def open_chain(
    plan: Plan, observe: Callable[[Called], None], transport: httpx.AsyncBaseTransport | None
) -> Chain:
    clock = asyncio.get_running_loop().time
    names = distinct([one.model for one in plan.llms])
    links = [
        Link(open_client(plan, one, name, transport), Breaker(clock))
        for one, name in zip(plan.llms, names, strict=True)
    ]
    return Chain(
        links,
        Budget(plan.daily_tokens, plan.budget_file),
        Slots(plan.concurrency, plan.queue),
        max_tokens=plan.asking.max_tokens,
        observe=observe,
    )


def open_client(
    plan: Plan, llm: KeyedLLM, name: str, transport: httpx.AsyncBaseTransport | None
) -> Client:
    """The limit on reading is the client's own, by the clock; httpx's would count each piece."""
    http = httpx.AsyncClient(
        headers=ACCEPTED_ENCODINGS,
        timeout=httpx.Timeout(None, connect=plan.connect),
        limits=httpx.Limits(max_connections=None),
        transport=transport,
    )
    spoken = FORMATS[llm.format].open(llm.url)
    return Client(name, spoken, llm.url, llm.model, llm.key, http, plan.asking)


def distinct(names: Sequence[str]) -> list[str]:
    """One model at two URLs is told apart by its place."""
    return [
        name if names.count(name) == 1 else f"{name} ({place})"
        for place, name in enumerate(names, 1)
    ]
