"""Reads within their limit, and on which side the service is of a server that fails."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest

from app.events import Event, SharedCacheFailed, SharedCacheRead, SharedCacheSwitched
from app.rerank.cache import TextScore
from app.shared_cache.availability import MAX_FAILURES_IN_A_ROW, STEADY_SECONDS
from app.shared_cache.cache import MAX_KEYS_PER_READ, MAX_READS_AT_ONCE, ModelScores, SharedCache
from tests.logged import events_logged, fields_logged
from tests.shared_cache.memory import MemoryServer
from tests.virtual_time import in_virtual_time, now

LIMIT = 0.005
SCORE = TextScore(0.5, 7, truncated=False)
LOG = "app.shared_cache"


class Replica:
    """The shared cache of one process."""

    def __init__(self, server: MemoryServer) -> None:
        self.events: list[Event] = []
        self.cache = SharedCache(server, LIMIT, 60, self.events.append)
        self.scores: ModelScores = self.cache.of_model(b"m:")

    @property
    def failures(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for event in self.events:
            if isinstance(event, SharedCacheFailed):
                counts[event.reason] += event.count
        return counts

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Replica]:
        async with self.cache.running():
            await asyncio.sleep(0.1)  # the first probe
            yield self

    async def read(self, *keys: bytes) -> tuple[int, float]:
        """How many scores, and after how many seconds."""
        started = now()
        scores = await self.scores.get(keys)
        return len(scores), round(now() - started, 6)


@in_virtual_time
async def test_what_one_replica_has_written_another_reads_in_one_call() -> None:
    server = MemoryServer()
    async with Replica(server).running() as writer, Replica(server).running() as reader:
        writer.scores.put({b"a": SCORE, b"b": SCORE})
        await asyncio.sleep(0.1)
        assert await reader.scores.get([b"a", b"b", b"c"]) == {b"a": SCORE, b"b": SCORE}
        assert reader.events[-1] == SharedCacheRead(hits=2, misses=1, seconds=0.0)
    assert (len(server.reads), server.ttl, server.closed) == (1, 60, True)


@in_virtual_time
async def test_models_with_other_namespaces_share_nothing() -> None:
    async with Replica(MemoryServer()).running() as replica:
        replica.scores.put({b"a": SCORE})
        await asyncio.sleep(0.1)
        assert await replica.cache.of_model(b"other:").get([b"a"]) == {}
        assert await replica.read(b"a") == (1, 0.0)


@in_virtual_time
async def test_a_read_that_is_late_costs_its_limit_and_is_a_miss() -> None:
    server = MemoryServer(seconds=0.02)
    async with Replica(server).running() as replica:
        server.values[b"m:a"] = b"whatever"
        assert await replica.read(b"a") == (0, LIMIT)
        assert replica.failures == {"timeout": 1}
        assert server.reading == 1  # its connection is kept, and can be used again
        await asyncio.sleep(0.02)
        assert server.reading == 0


@in_virtual_time
async def test_a_server_that_is_slow_is_left_alone_after_five_reads_in_a_row(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", LOG)
    server = MemoryServer()
    async with Replica(server).running() as replica:
        server.seconds = server.ping_seconds = 0.02
        waits = [(await replica.read(b"a"))[1] for _ in range(8)]
        assert waits == [LIMIT] * MAX_FAILURES_IN_A_ROW + [0.0] * 3
        assert replica.failures == {"timeout": 5, "down": 3}
        assert not replica.cache.up
    assert events_logged(caplog) == ["shared_cache_up", "shared_cache_down"]
    (fields,) = fields_logged(caplog, "shared_cache_down")
    assert fields == {"address": "memory:1", "reason": "no answer within 5 ms"}


@in_virtual_time
async def test_single_late_reads_do_not_stop_the_use() -> None:
    server = MemoryServer()
    async with Replica(server).running() as replica:
        for number in range(20):
            server.seconds = 0.02 if number % 5 else 0.0
            await replica.read(b"a")
        assert replica.cache.up


@in_virtual_time
async def test_a_server_that_is_down_is_noticed_without_requests_and_so_is_its_return(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", LOG)
    server = MemoryServer()
    async with Replica(server).running() as replica:
        server.error = "connection refused"
        await asyncio.sleep(MAX_FAILURES_IN_A_ROW)
        assert not replica.cache.up
        await asyncio.sleep(100)
        server.error = ""
        await asyncio.sleep(2)
        assert replica.cache.up
    assert events_logged(caplog) == ["shared_cache_up", "shared_cache_down", "shared_cache_up"]
    switches = [event.up for event in replica.events if isinstance(event, SharedCacheSwitched)]
    assert switches == [True, False, True]


@in_virtual_time
async def test_a_service_that_starts_without_the_server_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", LOG)
    server = MemoryServer()
    server.error = "connection refused"
    async with Replica(server).running() as replica:
        assert await replica.read(b"a") == (0, 0.0)
        await asyncio.sleep(60)
    assert events_logged(caplog) == ["shared_cache_down"]
    assert server.reads == []


@in_virtual_time
async def test_a_server_whose_probes_are_slow_is_not_used() -> None:
    server = MemoryServer()
    server.ping_seconds = 2 * LIMIT
    async with Replica(server).running() as replica:
        await asyncio.sleep(10)
        assert not replica.cache.up


@in_virtual_time
async def test_a_server_that_is_too_slow_for_reads_only_is_tried_ever_less_often() -> None:
    server = MemoryServer(seconds=0.02)
    tries: list[float] = []
    async with Replica(server).running() as replica:
        while now() < 300:
            if replica.cache.up:
                tries.append(now())
                for _ in range(MAX_FAILURES_IN_A_ROW):
                    await replica.read(b"a")
            await asyncio.sleep(0.1)
    pauses = [round(after - before) for before, after in pairwise(tries)]
    assert pauses[:6] == sorted(pauses[:6])
    assert (pauses[0], max(pauses)) == (3, 31)
    assert len(tries) < 20


@in_virtual_time
async def test_after_a_steady_time_a_failure_is_forgiven_within_a_second() -> None:
    server = MemoryServer()
    async with Replica(server).running() as replica:
        for _ in range(3):
            await asyncio.sleep(STEADY_SECONDS + 1)
            server.error = "restart"
            for _ in range(MAX_FAILURES_IN_A_ROW):
                await replica.read(b"a")
            assert not replica.cache.up
            server.error = ""
            await asyncio.sleep(2)
            assert replica.cache.up


@in_virtual_time
async def test_more_reads_than_connections_are_misses_at_once() -> None:
    server = MemoryServer(seconds=0.004)
    async with Replica(server).running() as replica:
        reads = (replica.read(b"a") for _ in range(MAX_READS_AT_ONCE + 4))
        waits = [seconds for _, seconds in await asyncio.gather(*reads)]
        assert sorted(waits) == [0.0] * 4 + [0.004] * MAX_READS_AT_ONCE
        assert replica.failures == {"busy": 4}
        assert server.most_reading == MAX_READS_AT_ONCE


@in_virtual_time
async def test_a_request_with_too_many_texts_reads_the_first_ones() -> None:
    server = MemoryServer()
    async with Replica(server).running() as replica:
        await replica.scores.get([str(number).encode() for number in range(3000)])
    assert [len(keys) for keys in server.reads] == [MAX_KEYS_PER_READ]


@in_virtual_time
async def test_a_caller_who_goes_away_while_reading_harms_nothing() -> None:
    server = MemoryServer(seconds=0.004)
    async with Replica(server).running() as replica:
        read = asyncio.create_task(replica.read(b"a"))
        await asyncio.sleep(0.001)
        read.cancel()
        with pytest.raises(asyncio.CancelledError):
            await read
        assert await replica.read(b"a") == (0, 0.004)
        assert replica.failures == {}


@in_virtual_time
async def test_values_that_no_replica_has_written_are_misses_and_counted() -> None:
    server = MemoryServer()
    async with Replica(server).running() as replica:
        replica.scores.put({b"a": SCORE})
        await asyncio.sleep(0.1)
        server.values |= {b"m:b": b"", b"m:c": b"x" * 13}
        assert await replica.scores.get([b"a", b"b", b"c"]) == {b"a": SCORE}
        assert replica.failures == {"invalid_value": 2}
        assert replica.cache.up


@in_virtual_time
async def test_the_end_does_not_wait_for_a_server_that_hangs() -> None:
    server = MemoryServer()
    async with Replica(server).running() as replica:
        server.seconds = server.ping_seconds = 1e6
        replica.scores.put({b"a": SCORE})
        await replica.read(b"a")
        ended = now()
    assert now() == ended
    assert server.closed
