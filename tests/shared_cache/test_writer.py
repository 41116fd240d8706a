"""Writes in the background, which no request waits for."""

from __future__ import annotations

import asyncio

import pytest

from app.events import SharedCacheFailed, SharedCacheWritten
from app.rerank.cache import TextScore
from app.shared_cache.writer import MAX_ENTRIES_PER_CALL, MAX_QUEUED
from tests.logged import events_logged, fields_logged
from tests.shared_cache.memory import MemoryServer
from tests.shared_cache.test_cache import Replica
from tests.virtual_time import in_virtual_time, now

SCORE = TextScore(0.5, 7, truncated=False)


def scores(count: int) -> dict[bytes, TextScore]:
    return {str(number).encode(): SCORE for number in range(count)}


@in_virtual_time
async def test_a_write_takes_no_time_of_the_caller_and_goes_in_parts() -> None:
    server = MemoryServer(seconds=0.5)
    async with Replica(server).running() as replica:
        started = now()
        replica.scores.put(scores(2 * MAX_ENTRIES_PER_CALL + 1))
        assert now() == started
        await asyncio.sleep(2)
    assert server.writes == [MAX_ENTRIES_PER_CALL, MAX_ENTRIES_PER_CALL, 1]
    written = [event.scores for event in replica.events if isinstance(event, SharedCacheWritten)]
    assert written == server.writes


@in_virtual_time
async def test_what_waits_to_be_written_is_bounded() -> None:
    server = MemoryServer(seconds=0.5)
    async with Replica(server).running() as replica:
        replica.scores.put(scores(MAX_QUEUED + 5))
        assert len(replica.cache._writer) == MAX_QUEUED
        assert replica.events[-1] == SharedCacheFailed("queue_full")


@in_virtual_time
async def test_nothing_is_written_to_a_server_that_is_down() -> None:
    server = MemoryServer()
    server.error = "connection refused"
    async with Replica(server).running() as replica:
        replica.scores.put(scores(5))
        assert len(replica.cache._writer) == 0
        server.error = ""
        await asyncio.sleep(2)
        assert replica.cache.up
    assert server.writes == []


@in_virtual_time
async def test_a_server_that_refuses_writes_is_still_read_and_that_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = MemoryServer()
    server.write_error = "READONLY You can't write against a read only replica."
    async with Replica(server).running() as replica:
        for _ in range(3):
            replica.scores.put(scores(2))
            await asyncio.sleep(1)
        assert replica.cache.up
        assert replica.failures == {"not_written": 3}
        server.write_error = ""
        replica.scores.put(scores(2))
        await asyncio.sleep(1)
        assert server.writes == [2]
        server.write_error = "OOM command not allowed"
        replica.scores.put(scores(2))
        await asyncio.sleep(1)
    assert events_logged(caplog) == ["shared_cache_not_written"] * 2
    reasons = [fields["reason"] for fields in fields_logged(caplog, "shared_cache_not_written")]
    assert [reason.split()[0] for reason in reasons] == ["READONLY", "OOM"]
