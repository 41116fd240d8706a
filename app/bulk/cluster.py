"""Blocks ranked on a Ray cluster by Ray Data: one task on this machine reads them, a pool of actors
ranks them, and this process writes what comes back.

A block is the unit of all three, so its scores are those of a local run, and its file says that it
is done. Ray starts an actor that dies anew and gives its block to another.
"""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when ray is imported

import pyarrow as pa
import ray
import ray.data
from ray.data import ActorPoolStrategy, Datasource
from ray.data.block import BlockMetadata
from ray.data.datasource import ReadTask

from app.bulk.problems import RunFailed, Unusable
from app.bulk.run import Outcome, RanksBlocks, Record, Rendered, rank_block
from app.bulk.stored import StoredRows
from app.errors import ServiceError
from app.rerank.query import Ranking

# One is read while the other is computed, as in a local run.
BLOCKS_OF_AN_ACTOR = 2
# It waits for the actors most of the time, which may have all of the cluster.
READER_CPUS = 0
CLIENT = "ray://"

# It tells at length how it executes.
logging.getLogger("ray.data").setLevel(logging.ERROR)

T = TypeVar("T")
OpenRanker = Callable[[], AbstractAsyncContextManager[RanksBlocks]]
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Share:
    """What an actor takes of the cluster."""

    cpus: int
    gpus: int

    def options(self) -> dict[str, int]:
        return {"num_cpus": self.cpus, "num_gpus": self.gpus}

    def actors(self, most: int | None) -> int:
        """As many as the cluster has room for, at most `most`."""
        available = ray.cluster_resources()
        room = int(available.get("CPU", 0) // self.cpus)
        if self.gpus:
            room = min(room, int(available.get("GPU", 0) // self.gpus))
        if not room:
            raise Unusable(
                f"--ray: an actor needs {self.cpus} CPUs and {self.gpus} GPUs; the cluster has "
                f"{available.get('CPU', 0):.0f} and {available.get('GPU', 0):.0f}"
            )
        return room if most is None else min(room, most)


@dataclass(frozen=True)
class Ranked:
    """What an actor made of a block, and the model that it has."""

    block: int
    outcome: Outcome | ServiceError
    facts: Facts


class Cluster:
    """Connected; `facts` are those of the model on one of its nodes."""

    def __init__(self, open_ranker: OpenRanker, share: Share, actors: int, facts: Facts) -> None:
        self.open_ranker = open_ranker
        self.share = share
        self.actors = actors
        self.facts = facts

    def figures(self) -> str:
        return f"{self.actors} actors"


@contextmanager
def connected(
    address: str, open_ranker: OpenRanker, share: Share, most: int | None
) -> Iterator[Cluster]:
    """An empty address: that of RAY_ADDRESS, a cluster of this machine, or one that is started."""
    if address.startswith(CLIENT):
        raise Unusable(
            f"--ray {address}: this command must run on a node of the cluster, for example by "
            "`ray job submit`, and connect by `--ray auto`"
        )
    try:
        ray.init(
            address or None,
            logging_level="error",
            log_to_driver=False,
            ignore_reinit_error=True,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise Unusable(f"--ray {address}: no connection to a Ray cluster: {error}") from error
    try:
        actors = share.actors(most)
        remote = ray.remote(**share.options(), max_retries=3)(facts_of)
        yield Cluster(open_ranker, share, actors, answer_of(remote.remote(open_ranker)))
    finally:
        ray.shutdown()


def answer_of(reference: Any) -> Any:
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, ServiceError):
            raise error.cause from None
        raise RunFailed(f"a task failed on the Ray cluster: {error.cause!r}") from error
    except ray.exceptions.RayError as error:
        raise RunFailed(f"a task failed on the Ray cluster: {error}") from error


def facts_of(open_ranker: OpenRanker) -> Facts:
    async def read() -> Facts:
        async with open_ranker() as ranker:
            return ranker.facts

    return asyncio.run(read())


class ClusterRun:
    def __init__(
        self,
        rows: StoredRows,
        cluster: Cluster,
        render: Callable[[Ranking], Rendered],
        record: Record,
    ) -> None:
        self._rows = rows
        self._cluster = cluster
        self._render = render
        self._record = record

    async def complete(self) -> dict[str, int]:
        return await self._record.complete(self._rank_all, self._cluster.figures)

    async def _rank_all(self, todo: Sequence[int]) -> None:
        """Waits for Ray in this thread: nothing else is to be done meanwhile."""
        for ranked in self._ranked(frozenset(todo)):
            if isinstance(ranked.outcome, ServiceError):
                raise ranked.outcome
            self._refuse_other_model(ranked.facts)
            await self._record.write(ranked.block, ranked.outcome)

    def _ranked(self, todo: frozenset[int]) -> Iterator[Ranked]:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.target_max_block_size = 1  # bytes: Ray would join our blocks
        blocks = ray.data.read_datasource(
            BlocksOf(self._rows, todo), override_num_blocks=1, num_cpus=READER_CPUS
        )
        actors = min(self._cluster.actors, len(todo))
        ranked = blocks.map_batches(
            RankBlocks,
            fn_constructor_args=(self._cluster.open_ranker, self._rows.unit, self._render),
            compute=ActorPoolStrategy(
                size=actors,
                max_tasks_in_flight_per_actor=2 * BLOCKS_OF_AN_ACTOR,
                max_concurrent_calls_per_actor=BLOCKS_OF_AN_ACTOR,
                enable_true_multi_threading=True,
            ),
            batch_size=1,
            batch_format="pyarrow",
            **self._cluster.share.options(),
        )
        try:
            for row in ranked.iter_rows():
                yield pickle.loads(row["parcel"])  # noqa: S301 (from our own actor)
        except ray.exceptions.RayError as error:
            raise RunFailed(f"the Ray cluster failed: {error}") from error

    def _refuse_other_model(self, facts: Facts) -> None:
        """Nodes of another kind may choose another engine, and score differently."""
        ours = self._cluster.facts
        others = [name for name in ours if facts[name] != ours[name]]
        if others:
            values = ", ".join(f"{name} {ours[name]} and {facts[name]}" for name in others)
            raise Unusable(
                f"--ray: the nodes of the cluster rank differently: {values}. Set --engine, "
                "--dtype and --device, and install the same packages and models"
            )


class BlocksOf(Datasource):  # type: ignore[misc]
    """Read by one task, on the node where the input is."""

    def __init__(self, rows: StoredRows, todo: frozenset[int]) -> None:
        self._rows = rows
        self._todo = todo

    @property
    def supports_distributed_reads(self) -> bool:
        return False

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[ReadTask]:  # noqa: ARG002
        metadata = BlockMetadata(
            num_rows=len(self._todo), size_bytes=None, exec_stats=None, input_files=None
        )
        return [ReadTask(partial(parcels_of, self._rows, self._todo), metadata)]


def parcels_of(rows: StoredRows, todo: frozenset[int]) -> Iterator[pa.Table]:
    for read in rows.read(todo):
        yield parcel(read)


def parcel(content: Any) -> pa.Table:
    return pa.table({"parcel": pa.array([pickle.dumps(content)], pa.large_binary())})


class RankBlocks:
    """An actor of the pool. Its model lives in an event loop of its own."""

    def __init__(
        self, open_ranker: OpenRanker, unit: str, render: Callable[[Ranking], Rendered]
    ) -> None:
        self._unit = unit
        self._render = render
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._stack = AsyncExitStack()  # ends with the process
        self._ranker = self._do(self._stack.enter_async_context(open_ranker()))

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def __call__(self, batch: pa.Table) -> pa.Table:
        block, read = pickle.loads(batch["parcel"][0].as_py())  # noqa: S301 (from our own task)
        outcome = read
        if not isinstance(read, ServiceError):
            try:
                outcome = self._do(rank_block(self._ranker, read, self._unit, self._render))
            except ServiceError as error:  # of the run: no row has it
                outcome = error
        return parcel(Ranked(block, outcome, self._ranker.facts))
