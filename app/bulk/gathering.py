"""The pairs of a block of queries, gathered and scored as one job: longest first, with next to no
padding.

Everything else is the service's own: the reranker reads, cuts and ranks each query, and the
batcher scores the job as it would score a request of that size.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from app.engines import Pair
from app.errors import InvalidRequest, ScoringFailed, ServiceError
from app.rerank.batcher import Batcher
from app.rerank.query import Query, Ranker, Ranking


@dataclass(frozen=True, slots=True)
class Share:
    """What one query has of the scores of its block."""

    logits: Sequence[float | None]
    queue: float
    compute: float


class Block:
    """Complete when each query has brought its pairs, or ended without any."""

    def __init__(self, queries: int) -> None:
        self.pairs: list[Pair] = []
        self.complete = asyncio.Event()
        self._shares: list[tuple[slice, asyncio.Future[Share]]] = []
        self._awaited = queries
        if not queries:
            self.complete.set()

    def add(self, pairs: Sequence[Pair]) -> asyncio.Future[Share]:
        future: asyncio.Future[Share] = asyncio.get_running_loop().create_future()
        self._shares.append((slice(len(self.pairs), len(self.pairs) + len(pairs)), future))
        self.pairs += pairs
        self.arrive()
        return future

    def arrive(self) -> None:
        self._awaited -= 1
        if self._awaited <= 0:
            self.complete.set()

    def deliver(self, logits: Sequence[float | None], queue: float, compute: float) -> None:
        for part, future in self._shares:
            if not future.done():
                future.set_result(Share(logits[part], queue, compute))


class Gathering:
    """Stands between a reranker and its batcher. A block gathers while another is computed."""

    def __init__(self, batcher: Batcher) -> None:
        self._batcher = batcher
        self._block = Block(0)
        self._gathers, self._computes = asyncio.Lock(), asyncio.Lock()

    @property
    def max_queue_tokens(self) -> int:
        return self._batcher.max_queue_tokens

    @contextmanager
    def expecting(
        self,
        tokens: int,  # noqa: ARG002 (the size of a block is bounded by its rows)
        delay: float = 0.0,  # noqa: ARG002
        *,
        at_least: int = 0,  # noqa: ARG002
        priority: int = 0,  # noqa: ARG002
        deadline: float | None = None,  # noqa: ARG002
    ) -> Iterator[None]:
        yield

    async def submit(
        self,
        pairs: Sequence[Pair],
        *,
        priority: int = 0,  # noqa: ARG002 (all queries of a block run together)
        deadline: float | None = None,  # noqa: ARG002
    ) -> Share:
        return await self._block.add(pairs)

    async def rank_all(
        self, ranker: Ranker, queries: Sequence[Query]
    ) -> list[Ranking | ServiceError]:
        """The ranking of each query, or why there is none."""
        try:
            async with asyncio.TaskGroup() as tasks:
                async with self._gathers:
                    block = self._block = Block(len(queries))
                    ranked = [tasks.create_task(rank_within(ranker, q, block)) for q in queries]
                    await block.complete.wait()
                async with self._computes:
                    job = await self._batcher.submit(block.pairs)
                block.deliver(job.logits, job.queue, job.compute)
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        return [task.result() for task in ranked]


async def rank_within(ranker: Ranker, query: Query, block: Block) -> Ranking | ServiceError:
    try:
        return await ranker.rank(query)
    except (InvalidRequest, ScoringFailed) as error:  # the row's own; any other ends the run
        return error
    finally:
        block.arrive()
