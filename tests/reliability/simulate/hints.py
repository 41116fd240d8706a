"""Whoever is refused and comes back alone, when told to, is admitted.

A hint is an estimate. It can be held to its word where the estimate is exact: an engine of constant
speed, a tokenizer of as many tokens as the reranker guesses, and nobody who arrives in between.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random

from app.errors import DeadlineExceeded, InvalidRequest, QueueFull
from app.rerank.cache import Cache
from app.rerank.query import Query, Ranking
from app.rerank.reranker import Reranker
from tests.reliability.simulate.engine import SimulatedEncoder, SimulatedEngine
from tests.reliability.simulate.loop import SimulatedLoop, Violation
from tests.reliability.simulate.plan import Texts
from tests.reliability.simulate.reference import Reference
from tests.reliability.simulate.service import open_batcher, open_reranker
from tests.reliability.simulate.world import Faults, World, draw_world

CALLERS = 60
QUEUE_TOKENS = 4_096
ROUNDING = 1e-6  # seconds


def check_hints(seed: int) -> int:
    """The number of hints that were put to the test."""
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(_check(seed))


def exact(world: World, queue_tokens: int) -> World:
    """The same without all that makes an estimate wrong."""
    return replace(
        world,
        batch_tokens=min(world.batch_tokens, 1024),
        queue_tokens=queue_tokens,
        per_batch=0.0,
        padded=False,
        chars_per_token=4,
        windows=0,
        max_wait=0.0,
        timeout=3600.0,
        faults=Faults(),
    )


async def _check(seed: int) -> int:
    """Either the queue is full, or it is too long for the callers' time limit."""
    rng, drawn = Random(f"hints {seed}"), draw_world(seed)
    late = rng.random() < 0.5
    world = exact(drawn, 100 * QUEUE_TOKENS if late else QUEUE_TOKENS)
    limit = rng.uniform(0.3, 1.0) * QUEUE_TOKENS * world.per_token if late else None
    texts = Texts(world)
    encoder = SimulatedEncoder(world, Reference(world.max_tokens, world.chars_per_token))
    async with open_batcher(world, SimulatedEngine(world, 1), threads=1) as batcher:
        reranker = open_reranker(world, encoder, batcher, Cache(0, 0.0, lambda: 0.0))
        await reranker.rank(Query(texts.queries[1], texts.documents[:3]))  # the pace is learnt
        queries = [_query(texts, rng, limit) for _ in range(CALLERS)]
        crowd: list[asyncio.Task[Ranking | None]] = []
        for query in queries:
            crowd.append(asyncio.create_task(_ask(reranker, query)))
            await asyncio.sleep(rng.expovariate(40 / (QUEUE_TOKENS * world.per_token)))
            refused = next((task for task in crowd if task.done() and task.exception()), None)
            if refused is not None:
                break
        else:
            return 0
        hint = refused.exception()
        assert isinstance(hint, QueueFull)
        await asyncio.sleep(hint.retry_after + ROUNDING)
        try:
            await _ask(reranker, queries[crowd.index(refused)])
        except QueueFull as error:
            raise Violation(
                f"refused again after the hint of {hint.retry_after} s ({hint}): {error}"
            ) from error
        await asyncio.gather(*crowd, return_exceptions=True)
        return 1


async def _ask(reranker: Reranker, query: Query) -> Ranking | None:
    """None: it could never be admitted."""
    try:
        return await reranker.rank(query)
    except (DeadlineExceeded, InvalidRequest):
        return None


def _query(texts: Texts, rng: Random, limit: float | None) -> Query:
    """With a limit, of equal size: jobs are then served in the order in which they came."""
    documents = [document for document in texts.documents if 0 < len(document.text) < 300]
    if limit is not None:
        return Query(texts.queries[1], documents[:8], timeout=limit)
    return Query(texts.queries[1], rng.choices(documents, k=rng.randrange(2, 50)))
