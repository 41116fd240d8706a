"""Whatever callers and engine do, every request ends and nothing is left behind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest

from app.engines import OutOfMemory, Pair
from app.errors import ServiceError
from app.rerank.batcher import Batcher, Limits
from app.rerank.cache import Cache
from app.rerank.health import watched
from app.rerank.query import Document, Query, Ranking, SpansWanted
from app.rerank.reranker import Reranker
from tests.fakes import FakeEngine, SlowThreads, WordEncoder, pair
from tests.virtual_time import in_virtual_time

REQUESTS = 120
FAULTS = (RuntimeError("fault"), OutOfMemory("full"), asyncio.CancelledError())


class Moody(FakeEngine):
    """Fails, answers nonsense, is slow, and now and then hangs for a while."""

    def __init__(self, draw: random.Random) -> None:
        super().__init__(per_token=0.0005)
        self.draw = draw

    async def score(self, pairs: Sequence[Pair]) -> Sequence[float]:
        mood = self.draw.random()
        if mood < 0.005:
            await asyncio.sleep(40)
        if mood < 0.08:
            raise self.draw.choice(FAULTS)
        scores = [*await super().score(pairs)]
        if mood < 0.11:
            return scores[1:]
        return [float("nan"), *scores[1:]] if mood < 0.14 else scores


TEXTS = ("", "a b. ", "word " * 30, "x" * 9000, "long " * 400)


def random_query(draw: random.Random) -> Query:
    texts = [draw.choice(TEXTS) + "w " * draw.randrange(9) for _ in range(draw.randrange(1, 12))]
    return Query(
        draw.choice(["q", "another question"]),
        [Document(text) for text in texts],
        truncate=draw.random() < 0.9,
        windows=draw.choice([None, None, 4]),
        timeout=draw.choice([None, 0.2, 2.0, 30.0]),
        priority=draw.randrange(3),
        spans=SpansWanted(0) if draw.random() < 0.2 else None,
        caller=draw.choice(["", "one"]),
    )


async def call(reranker: Reranker, draw: random.Random) -> Ranking | None:
    """None where it was refused, was late, or went away."""
    await asyncio.sleep(draw.uniform(0, 60))
    task = asyncio.create_task(reranker.rank(random_query(draw)))
    if draw.random() < 0.3:
        await asyncio.sleep(draw.uniform(0, 3))
        task.cancel()
    try:
        return await task
    except (ServiceError, asyncio.CancelledError):
        return None


@pytest.mark.parametrize("seed", range(12))
def test_every_request_ends_and_nothing_is_left_behind(seed: int) -> None:
    draw = random.Random(seed)

    @in_virtual_time
    async def run() -> None:
        engine, clock = Moody(draw), asyncio.get_running_loop().time
        limits = Limits(200, 4000, at_once=draw.choice([1, 2]))
        async with Batcher(engine.score, limits) as batcher, watched(batcher, pair(1)):
            reranker = Reranker(
                "words",
                WordEncoder(),
                batcher,
                Cache(draw.choice([0, 100_000]), 60, clock),
                SlowThreads(100_000),
                timeout=60,
                tokenizers=2,
            )
            calls = [call(reranker, random.Random(f"{seed} {n}")) for n in range(REQUESTS)]
            rankings = await asyncio.gather(*calls)
            await asyncio.sleep(200)
            assert sum(ranking is not None for ranking in rankings) > REQUESTS // 5
            right(rankings)
            tokenizing = reranker.tokenizing
            assert (batcher.waiting_tokens, batcher._running_tokens, batcher._expected) == (0, 0, 0)
            assert (batcher._running, batcher.calls.age, batcher._hanging) == ([], 0.0, None)
            assert (tokenizing.waiting_chars, tokenizing._running) == (0, {})
            assert len(reranker._in_flight) == 0

    run()


def right(rankings: Sequence[Ranking | None]) -> None:
    """A document scores as many points as it has words, if nothing of it was cut."""
    for ranking in rankings:
        if ranking is None:
            continue
        lost = {*ranking.usage.failed, *ranking.usage.empty, *ranking.usage.truncated}
        for index, document in enumerate(ranking.query.documents):
            words = len(document.text.split())
            if index not in lost and words < 90:
                assert ranking.logits[index] == words
