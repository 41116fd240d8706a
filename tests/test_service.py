from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from app.answer.answerer import Answerer, AnswerService
from app.answer.cache import answer_cache
from app.answer.question import Question
from app.errors import EngineFailed, LoadFailed, Loading, NoStore
from app.rerank.batcher import Batcher, Limits
from app.rerank.query import Document, Query, Ranker
from app.service import Served, Service, Successor
from tests.answer.rooms import POLICY
from tests.fakes import CARD, FakeEngine, FakeRetriever, OverlapReranker
from tests.virtual_time import in_virtual_time

QUESTION = Question("how long is a book lent", initial_k=2, final_k=1)


@dataclass
class House:
    """A service whose model loads for ten seconds, over a first stage that may need longer."""

    model: OverlapReranker = field(default_factory=OverlapReranker)
    seconds: float = 0.0  # that the first stage takes to open
    stored: bool = True
    failure: str = ""  # why the model cannot be loaded
    failures: list[LoadFailed] = field(default_factory=list)
    batcher: Batcher = field(init=False)

    @asynccontextmanager
    async def open_model(self) -> AsyncIterator[Served]:
        await asyncio.sleep(10)
        if self.failure:
            raise LoadFailed(self.failure)
        async with Batcher(FakeEngine().score, Limits(100, 100)) as batcher:
            self.batcher = batcher
            yield Served(self.model, CARD, batcher)

    @asynccontextmanager
    async def open_answers(self, ranker: Ranker) -> AsyncIterator[AnswerService | None]:
        await asyncio.sleep(self.seconds)
        clock = asyncio.get_running_loop().time
        retriever = FakeRetriever("A book is lent for four weeks in all.", "Bananas are rich.")
        answerer = Answerer(retriever, ranker, None, POLICY, cache=answer_cache(0, clock, 0))
        yield AnswerService(answerer) if self.stored else None

    @asynccontextmanager
    async def serving(self, fallback: Ranker | None = None) -> AsyncIterator[Service]:
        service = Service(self.open_model, self.open_answers, self.failures.append)
        service.start(Served(fallback, CARD) if fallback else None)
        await asyncio.sleep(1)
        yield service
        await service.stop()


async def ask(service: Service) -> str:
    return (await service.answering().answerer.answer(QUESTION)).text


@in_virtual_time
async def test_while_the_model_loads_the_fallback_ranks_for_answers_and_then_no_more() -> None:
    house, fallback = House(), OverlapReranker()
    async with house.serving(fallback) as service:
        assert "four weeks" in await ask(service)
        fallback_queries = len(fallback.queries)
        assert (fallback_queries > 0, house.model.queries) == (True, [])
        await service.settled()
        assert "four weeks" in await ask(service)
    assert (len(fallback.queries), len(house.model.queries) > 0) == (fallback_queries, True)


@in_virtual_time
async def test_without_a_fallback_answers_wait_for_the_model() -> None:
    async with House().serving() as service:
        with pytest.raises(Loading, match="the model is loading"):
            service.answering()
        await service.settled()
        assert "four weeks" in await ask(service)


@in_virtual_time
async def test_a_first_stage_that_is_not_open_yet_is_loading_even_with_a_fallback() -> None:
    async with House(seconds=5).serving(OverlapReranker()) as service:
        with pytest.raises(Loading):
            service.answering()


@in_virtual_time
async def test_without_a_store_there_is_none_once_that_is_known() -> None:
    async with House(stored=False).serving(OverlapReranker()) as service:
        await service.settled()
        with pytest.raises(NoStore, match="no store is configured"):
            service.answering()


@in_virtual_time
async def test_an_answer_that_was_begun_is_ranked_during_a_drain() -> None:
    async with House().serving() as service:
        await service.settled()
        answerer = service.answering().answerer
        await service.drain(0)
        assert "four weeks" in (await answerer.answer(QUESTION)).text


# --- an engine that is chosen later ---


@dataclass
class Replacing(House):
    """A model whose successor opens half a minute after it, or does not."""

    chosen: OverlapReranker | None = field(default_factory=OverlapReranker)
    reason: str = ""
    closed: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def open_model(self) -> AsyncIterator[Served]:
        try:
            card = replace(CARD, choosing_engine=True)
            yield Served(self.model, card, successor=Successor(self.open_successor, 60))
        finally:
            self.closed.append("first")

    @asynccontextmanager
    async def open_successor(self) -> AsyncIterator[Served | None]:
        await asyncio.sleep(30)
        if self.reason:
            raise LoadFailed(self.reason)
        try:
            yield Served(self.chosen, replace(CARD, engine="chosen")) if self.chosen else None
        finally:
            self.closed.append("chosen")


@in_virtual_time
async def test_the_chosen_engine_takes_over_and_the_first_one_ends_its_requests() -> None:
    house = Replacing()
    async with house.serving() as service:
        await service.settled()
        assert service.reranker() is house.model
        await asyncio.sleep(30)
        assert (service.reranker() is house.chosen, house.closed) == (True, [])
        await asyncio.sleep(58)
        assert house.closed == []
        await asyncio.sleep(2)
        assert (service.state.name, house.closed) == ("ready", ["first"])
    assert house.closed == ["first", "chosen"]


@in_virtual_time
@pytest.mark.parametrize(
    "house", [Replacing(reason="too little memory"), Replacing(chosen=None)], ids=["failed", "none"]
)
async def test_without_a_chosen_engine_the_first_one_goes_on(house: Replacing) -> None:
    async with house.serving() as service:
        await asyncio.sleep(1_000)
        assert (service.reranker() is house.model, service.state.name) == (True, "ready")
        assert house.closed == []
        assert service.served is not None
        assert service.served.card.choosing_engine is False
    assert "first" in house.closed


# --- states -------------------------------------------------------------------------------


QUERY = Query("a book", [Document("a book")])


@in_virtual_time
async def test_a_service_starts_then_is_ready_and_drains() -> None:
    house = House()
    async with house.serving() as service:
        seen = [service.state.name]
        await service.settled()
        seen.append(service.state.name)
        await service.drain(0)
        seen.append(service.state.name)
    assert seen == ["starting", "ready", "draining"]


@in_virtual_time
async def test_a_service_that_leaves_serves_and_goes_on_if_no_newcomer_can_come() -> None:
    house = House()
    async with house.serving() as service:
        await service.settled()
        service.leave()
        await service.leave_requested()
        assert (service.state.name, service.can_serve) == ("leaving", True)
        assert (await service.reranker().rank(QUERY)).results
        await service.drain(0, refuse=False)
        assert service.state.name == "leaving"
        assert (await service.reranker().rank(QUERY)).results
        await service.drain(0)
        assert (service.state.name, service.can_serve) == ("draining", False)


@in_virtual_time
async def test_a_service_that_leaves_while_it_loads_still_says_so() -> None:
    async with House().serving() as service:
        service.leave()
        assert (service.state.name, service.can_serve) == ("starting", False)


@in_virtual_time
async def test_a_service_that_stops_without_a_drain_is_not_loading() -> None:
    async with House().serving() as service:
        await service.settled()
        await service.stop()
        assert service.state.name == "draining"


@in_virtual_time
async def test_a_model_that_cannot_be_loaded_is_a_failure_and_no_longer_loading() -> None:
    house = House(failure="the folder is empty")
    async with house.serving() as service:
        await service.settled()
        assert service.state == ("failed", "the folder is empty")
        with pytest.raises(EngineFailed, match="the folder is empty"):
            service.reranker()
        with pytest.raises(EngineFailed, match="the folder is empty"):
            service.answering()


@in_virtual_time
async def test_whatever_problem_the_batcher_has_is_a_failure_of_the_engine() -> None:
    house = House()
    async with house.serving() as service:
        await service.settled()
        for problem in ("the engine does not respond", ""):
            house.batcher.failing = problem
            assert service.state == ("failed", problem)
            with pytest.raises(EngineFailed):
                service.reranker()
        house.batcher.failing = None
        assert service.state == ("ready", None)


@in_virtual_time
async def test_an_engine_that_failed_leaves_its_requests_to_the_fallback() -> None:
    house, fallback = House(), OverlapReranker()
    async with house.serving(fallback) as service:
        await service.settled()
        house.batcher.failing = "the engine does not respond"
        assert (service.state.name, service.local_state.name) == ("ready", "failed")
        await service.reranker().rank(QUERY)
        assert (len(fallback.queries), house.model.queries) == (1, [])


@in_virtual_time
async def test_without_a_store_a_failed_engine_does_not_hide_that_there_is_none() -> None:
    house = House(stored=False)
    async with house.serving(OverlapReranker()) as service:
        await service.settled()
        house.batcher.failing = "the engine does not respond"
        with pytest.raises(NoStore):
            service.answering()
