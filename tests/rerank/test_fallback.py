from __future__ import annotations

import asyncio
import logging

import pytest

from app.errors import (
    DeadlineExceeded,
    EngineFailed,
    InvalidRequest,
    Loading,
    QueueFull,
    ScoringFailed,
    ServiceError,
    UpstreamBusy,
    UpstreamFailed,
)
from app.rerank.fallback import Fallback
from app.rerank.query import Document, Query, Ranker, Ranking
from tests.virtual_time import in_virtual_time

LOADING = Loading("the model is loading", retry_after=1.0)
FULL = QueueFull("no room", retry_after=0.5)
CRASHED = EngineFailed("the batcher crashed")
FAILED = ScoringFailed("the model could not score any document")


class Fake:
    """Ranks nothing, under its name, or fails; after so many seconds."""

    def __init__(self, name: str, error: ServiceError | None = None, seconds: float = 0) -> None:
        self.name = name
        self.error = error
        self.seconds = seconds
        self.queries: list[Query] = []

    async def rank(self, query: Query) -> Ranking:
        self.queries.append(query)
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return Ranking(query, [], [], model=self.name)


def query(timeout: float | None = None) -> Query:
    return Query("q", [Document("a")], timeout=timeout)


@in_virtual_time
async def test_the_local_model_ranks_while_it_can() -> None:
    local, other = Fake("local"), Fake("other")
    assert (await Fallback(lambda: local, other).rank(query())).model == "local"
    assert other.queries == []


@in_virtual_time
async def test_until_the_local_model_is_there_the_other_one_ranks() -> None:
    def none() -> Ranker:
        raise LOADING

    assert (await Fallback(none, Fake("other")).rank(query())).model == "other"


@pytest.mark.parametrize("error", [FULL, CRASHED, FAILED])
def test_what_the_local_model_cannot_do_now_the_other_one_does(error: ServiceError) -> None:
    @in_virtual_time
    async def test() -> None:
        local = Fake("local", error)
        assert (await Fallback(lambda: local, Fake("other")).rank(query())).model == "other"

    test()


@pytest.mark.parametrize("error", [InvalidRequest("no", field="score"), DeadlineExceeded("late")])
def test_what_another_one_could_not_mend_stays(error: ServiceError) -> None:
    @in_virtual_time
    async def test() -> None:
        local, other = Fake("local", error), Fake("other")
        with pytest.raises(type(error)):
            await Fallback(lambda: local, other).rank(query())
        assert other.queries == []

    test()


@pytest.mark.parametrize(
    "error",
    [
        UpstreamFailed("other answered 500", upstream="other"),
        UpstreamBusy("other takes no more", upstream="other", retry_after=9),
        InvalidRequest("score: no", field="score"),
    ],
)
def test_if_neither_can_the_local_refusal_holds_and_the_log_says_why(
    error: ServiceError, caplog: pytest.LogCaptureFixture
) -> None:
    @in_virtual_time
    async def test() -> None:
        with caplog.at_level(logging.WARNING), pytest.raises(QueueFull) as caught:
            await Fallback(lambda: Fake("local", FULL), Fake("other", error)).rank(query())
        assert caught.value.retry_after == 0.5
        (record,) = caplog.records
        assert vars(record)["fields"] == {"reason": str(error)}

    test()


@in_virtual_time
async def test_the_other_one_has_only_the_time_that_is_left() -> None:
    local, other = Fake("local", FAILED, seconds=3), Fake("other")
    await Fallback(lambda: local, other).rank(query(timeout=5))
    assert other.queries[0].timeout == 2
    with pytest.raises(ScoringFailed):
        await Fallback(lambda: local, other).rank(query(timeout=3))
    assert len(other.queries) == 1
