"""The real rooms over the simulated ones, put together as `app.compose` does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.answer.answerer import Answerer, AnswerPolicy
from app.answer.cache import answer_cache
from app.engines import Pair
from app.llm.breaker import Breaker
from app.llm.budget import Budget
from app.llm.fallback_chain import FallbackChain, Link
from app.llm.slots import Slots
from app.rerank.batcher import Batcher, Limits
from app.rerank.cache import Cache
from app.rerank.fallback import Fallback
from app.rerank.health import watched
from app.rerank.query import Ranker
from app.rerank.reranker import Reranker
from tests.reliability.simulate.engine import SimulatedEncoder, SimulatedEngine
from tests.reliability.simulate.loop import SimulatedThreads, Violation
from tests.reliability.simulate.neighbours import (
    ANSWER_TOKENS,
    Days,
    SimulatedLLM,
    SimulatedRemote,
    SimulatedStore,
)
from tests.reliability.simulate.plan import Texts
from tests.reliability.simulate.probe import ChainProbe, Probe
from tests.reliability.simulate.reference import Context, Reference
from tests.reliability.simulate.world import World

LLM_CONCURRENCY = 3
LLM_QUEUE = 12
ROOM = 700  # tokens of a prompt
MIN_SCORE = 0.05


@dataclass(slots=True)
class Service:
    world: World
    reference: Reference
    engine: SimulatedEngine
    encoder: SimulatedEncoder
    remote: SimulatedRemote
    store: SimulatedStore
    llms: Sequence[SimulatedLLM]
    batcher: Batcher
    reranker: Reranker
    ranker: Ranker
    chain: FallbackChain
    answerer: Answerer
    probe: Probe
    ledger: ChainProbe

    def check_idle(self) -> None:
        self.probe.check_idle()
        self.ledger.check_idle()
        if under_way := sum(llm.under_way for llm in self.llms):
            raise Violation(f"{under_way} calls of language models go on")

    def calm(self) -> None:
        """No more faults from here on."""
        self.engine.calm()
        self.encoder.calm()
        self.remote.rate = self.store.rate = 0.0
        for llm in self.llms:
            llm.rate = 0.0


def open_batcher(world: World, engine: SimulatedEngine, threads: int = 2) -> Batcher:
    loop = asyncio.get_running_loop()
    executor = SimulatedThreads(threads, engine.seconds)

    async def score(pairs: Sequence[Pair]) -> Sequence[float]:
        return await loop.run_in_executor(executor, engine.score, pairs)

    batch = min(world.batch_tokens, world.queue_tokens)
    limits = Limits(batch, world.queue_tokens, world.max_wait, world.at_once)
    return Batcher(score, limits)


def open_reranker(
    world: World, encoder: SimulatedEncoder, batcher: Batcher, cache: Cache
) -> Reranker:
    return Reranker(
        "simulated",
        encoder,
        batcher,
        cache,
        SimulatedThreads(2, encoder.seconds),
        world.timeout,
        windows=world.windows,
        tokenizers=2,
    )


@asynccontextmanager
async def open_service(
    world: World, texts: Texts, batches: int, seconds: float
) -> AsyncIterator[Service]:
    clock = asyncio.get_running_loop().time
    reference = Reference(world.max_tokens, world.chars_per_token)
    engine, encoder = SimulatedEngine(world, batches), SimulatedEncoder(world, reference)
    remote, store = SimulatedRemote(world, reference), SimulatedStore(world, texts.candidates)
    llms = [SimulatedLLM("a", world), SimulatedLLM("b", world, 0.5)]
    cache = Cache(world.cache_bytes, world.cache_seconds, clock)
    budget = Budget(world.daily_tokens, None, Days(world, seconds))
    async with open_batcher(world, engine) as batcher:
        reranker = open_reranker(world, encoder, batcher, cache)
        ranker: Ranker = Fallback(lambda: reranker, remote) if world.remote else reranker
        chain = FallbackChain(
            [Link(llm, Breaker(clock)) for llm in llms],
            budget,
            Slots(LLM_CONCURRENCY, LLM_QUEUE),
            max_tokens=ANSWER_TOKENS,
            observe=lambda event: ledger.count(event),  # noqa: PLW0108 (it is made below)
        )
        ledger = ChainProbe(chain, world.daily_tokens)
        answerer = Answerer(
            store,
            ranker,
            chain,
            AnswerPolicy(world.timeout, MIN_SCORE, ROOM, world.listwise),
            cache=answer_cache(world.answer_cache, clock, 2**26),
            fence=lambda: "c0de",
        )
        probe = Probe(batcher, reranker, cache)
        service = Service(
            world, reference, engine, encoder, remote, store, llms,
            batcher, reranker, ranker, chain, answerer, probe, ledger,
        )  # fmt: skip
        pair = reference.encode(Context("known", None, "right", 0), "pair").pair
        async with watched(batcher, pair):
            yield service
