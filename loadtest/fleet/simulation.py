"""Replicas with the real batcher, scheduler and admission, in virtual time.

Simulated are the engine, by measured times, HTTP and tokenizing as a delay, the network, the load
balancer and the callers.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TypeVar

from app.api.problems import KINDS
from app.deadline import Deadline
from app.engines import Pair
from app.errors import ServiceError
from app.rerank.batcher import Batcher, Limits
from loadtest.fleet.outcome import ANSWERED, Exchange
from loadtest.fleet.policies import POLICIES, Policy
from loadtest.fleet.service_times import ServiceTimes
from loadtest.fleet.work import Arrival, Work, pair_of
from tests.reliability.simulate.loop import SimulatedLoop

NETWORK_SECONDS = 0.0005  # one way
JITTER = 0.5  # of the delays beside the engine

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Settings:
    """As of the service: `timeout` is RERANKD_TIMEOUT_MS in seconds."""

    timeout: float
    max_queue_tokens: int = 1_000_000
    network: float = NETWORK_SECONDS
    jitter: float = JITTER
    lateness: float = 0.0  # of callers, on average: it changes the order of their requests


class Replica:
    def __init__(self, times: ServiceTimes, settings: Settings, chance: random.Random) -> None:
        self._times = times
        self._settings = settings
        self._chance = chance
        limits = Limits(times.max_batch_tokens, settings.max_queue_tokens)
        # Padding is only reported, and nothing here reads the reports.
        self.batcher = Batcher(self._score, limits, cost=lambda pairs: 0)

    async def _score(self, pairs: Sequence[Pair]) -> Sequence[float]:
        await asyncio.sleep(self._times.batch(pairs))
        return [0.0] * len(pairs)

    async def warm_up(self) -> None:
        """As the service does before it is ready: so it has a pace when the first request comes."""
        width = min(512, self._times.max_batch_tokens)
        await self.batcher.submit([pair_of(width)] * (self._times.max_batch_tokens // width))

    async def rank(self, work: Work) -> int:
        """The status of the answer. As in the reranker: first room, then reading, then scoring."""
        deadline = Deadline.after(self._settings.timeout)
        beside = self.jittered(self._times.beside(len(work.pairs)))
        try:
            async with deadline.enforced():
                with self.batcher.expecting(
                    work.estimate, at_least=work.at_least, deadline=deadline.at
                ):
                    await asyncio.sleep(beside)
                await self.batcher.submit(work.pairs, deadline=deadline.at)
        except ServiceError as error:
            return KINDS[type(error)].status
        return ANSWERED

    def jittered(self, seconds: float) -> float:
        spread = self._settings.jitter
        return seconds * self._chance.uniform(1 - spread, 1 + spread) if spread else seconds


class Fleet:
    """Replicas behind one load balancer, which counts the requests that it has outstanding."""

    def __init__(
        self,
        replicas: Sequence[Replica],
        policy: Policy,
        settings: Settings,
        chance: random.Random,
    ) -> None:
        self._replicas = replicas
        self._policy = policy
        self._settings = settings
        self._chance = chance
        self._started = asyncio.get_running_loop().time()
        self.outstanding = [0] * len(replicas)
        self.chosen = [0] * len(replicas)
        self.exchanges: list[Exchange] = []

    async def offer(self, arrivals: Iterable[Arrival]) -> None:
        """Send each request when it is due, and wait for the last answer."""
        now = asyncio.get_running_loop().time
        async with asyncio.TaskGroup() as tasks:
            for arrival in arrivals:
                if (wait := self._started + arrival.due - now()) > 0:
                    await asyncio.sleep(wait)
                tasks.create_task(self._call(arrival))

    async def _call(self, arrival: Arrival) -> None:
        network, lateness = self._settings.network, self._settings.lateness
        if lateness:
            await asyncio.sleep(self._chance.expovariate(1 / lateness))
        index = self._policy.choose(self.outstanding)
        replica = self._replicas[index]
        self.outstanding[index] += 1
        self.chosen[index] += 1
        await asyncio.sleep(replica.jittered(network))
        status = await replica.rank(arrival.work)
        await asyncio.sleep(replica.jittered(network))
        self.outstanding[index] -= 1
        ended = asyncio.get_running_loop().time() - self._started
        self.exchanges.append(Exchange(arrival.due, ended, status, len(arrival.work.pairs)))


def simulate(
    times: ServiceTimes,
    settings: Settings,
    policy: str,
    replicas: int,
    arrivals: Iterable[Arrival],
    seed: str = "",
) -> list[Exchange]:
    """What became of each request; the same seed gives the same exchanges."""

    async def run() -> list[Exchange]:
        chance = random.Random(f"{policy} {replicas} {seed}")
        fleet = [Replica(times, settings, chance) for _ in range(replicas)]
        async with AsyncExitStack() as stack:
            for replica in fleet:
                await stack.enter_async_context(replica.batcher)
            await asyncio.gather(*(replica.warm_up() for replica in fleet))
            offered = Fleet(fleet, POLICIES[policy](chance), settings, chance)
            await offered.offer(arrivals)
            return offered.exchanges

    return in_virtual_time(run)


def in_virtual_time(run: Callable[[], Coroutine[None, None, T]]) -> T:
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # thousands of batchers have the same to say
    try:
        with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
            return runner.run(run())
    finally:
        logging.disable(level)
