"""Documents a day for the fallback, and what stands when they are used up."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from datetime import date, timedelta
from pathlib import Path

import pytest

from app.errors import QueueFull
from app.events import Event, FallbackUsed
from app.rerank.daily_documents import DailyDocuments
from app.rerank.fallback import Fallback, FallbackSpent, Limited
from app.rerank.query import Document, Query, Ranking

pytestmark = pytest.mark.anyio

TODAY = date(2026, 11, 26)


class Days:
    def __init__(self) -> None:
        self.today = TODAY

    def __call__(self) -> date:
        return self.today


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "documents.json"


async def test_so_many_documents_may_go_and_no_more() -> None:
    daily = DailyDocuments(10, None, Days())
    assert [await daily.take(count) for count in (4, 7, 6, 1)] == [True, False, True, False]
    assert daily.left == 0


async def test_without_a_limit_all_may_go() -> None:
    daily = DailyDocuments(0, None, Days())
    assert await daily.take(10**9)
    assert daily.left == 0


@pytest.mark.parametrize("kept", [False, True], ids=["in memory", "in a file"])
async def test_a_day_begins_anew_and_a_clock_that_is_set_back_gives_nothing(
    kept: bool, file: Path
) -> None:
    days = Days()
    daily = DailyDocuments(10, file if kept else None, days)
    assert await daily.take(10)
    days.today = TODAY - timedelta(1)
    assert (await daily.take(1), daily.left) == (False, 0)
    days.today = TODAY + timedelta(1)
    assert (daily.left, await daily.take(3), daily.left) == (10, True, 7)


async def test_a_restart_and_another_process_count_too(file: Path) -> None:
    first, second = (DailyDocuments(10, file, Days()) for _ in range(2))
    assert await first.take(6)
    assert not await second.take(5)
    assert await second.take(4)
    assert not await first.take(1)
    assert DailyDocuments(10, file, Days()).left == 0


async def test_many_at_once_take_no_more_than_there_is(file: Path) -> None:
    counters = [DailyDocuments(50, file, Days()) for _ in range(4)]
    taken = await asyncio.gather(*(daily.take(3) for daily in counters for _ in range(10)))
    assert sum(taken) == 50 // 3


@pytest.mark.parametrize("content", [b"{", b'{"day": "2026-11-26"}', b'{"day": 1, "documents": 2}'])
def test_a_file_that_makes_no_sense_spends_the_day_and_says_so(
    file: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_bytes(content)
    daily = DailyDocuments(10, file)
    assert not asyncio.run(daily.take(1))
    assert "fallback_file_unreadable" in caplog.text


def test_an_empty_file_is_a_new_one(file: Path) -> None:
    file.touch()
    assert asyncio.run(DailyDocuments(10, file, Days()).take(10))


async def test_where_the_file_cannot_be_written_this_process_counts_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    daily = DailyDocuments(10, tmp_path / "nowhere" / "documents.json", Days())
    assert [await daily.take(count) for count in (8, 3, 2)] == [True, False, True]
    assert "fallback_file_not_written" in caplog.text


async def test_a_file_that_cannot_be_read_for_a_moment_does_not_spend_the_day(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daily = DailyDocuments(10, file, Days())
    assert await daily.take(1)

    def out_of_descriptors(path: Path) -> bytes:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", out_of_descriptors)
        assert await daily.take(1)
    assert await daily.take(1)
    assert daily.left == 7


async def test_documents_that_could_not_be_written_down_count_once(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daily = DailyDocuments(10, file, Days())

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert await daily.take(6)
    assert daily.left == 4


class Other:
    def __init__(self) -> None:
        self.queries: list[Query] = []

    async def rank(self, query: Query) -> Ranking:
        self.queries.append(query)
        return Ranking(query, [], [], model="other")


class Full:
    async def rank(self, query: Query) -> Ranking:
        raise QueueFull("no room", retry_after=7.0)


def query(documents: int) -> Query:
    return Query("q", [Document("a")] * documents)


async def test_when_the_day_is_spent_the_local_refusal_stands(
    caplog: pytest.LogCaptureFixture,
) -> None:
    other, events = Other(), list[Event]()
    limited = Limited(other, DailyDocuments(5, None, Days()), events.append)
    fallback = Fallback(Full, limited)
    caplog.set_level(logging.WARNING)
    assert (await fallback.rank(query(5))).model == "other"
    for _ in range(3):
        with pytest.raises(QueueFull, match="no room") as refusal:
            await fallback.rank(query(1))
        assert refusal.value.retry_after == 7.0
        assert isinstance(refusal.value.__cause__, FallbackSpent)
    assert len(other.queries) == 1
    assert events == [FallbackUsed("sent", 5), *[FallbackUsed("refused", 1)] * 3]
    assert [record.message for record in caplog.records] == ["fallback_documents_spent"]
