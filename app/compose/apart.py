"""The HTTP side and the models in processes of their own: what each of the two opens.

A query and its ranking pass from process to process, so neither has the documents twice: the HTTP
side keeps them, and sends their texts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from fastapi import FastAPI

from app.answer.answerer import AnswerService
from app.api.wiring import wiring_of
from app.compose.app import create_app, open_soon
from app.compose.shared import make_shared_cache, opened
from app.errors import LoadFailed, ServiceError
from app.events import Observe, ignore
from app.model_card import ModelCard
from app.rerank.query import Document, Query, Ranker, Ranking
from app.rerank.ranking import ranked
from app.service import Served, Service
from app.settings import Settings
from app.shared_cache.cache import SharedCache
from app.state import READY

RankApart = Callable[[Query, Sequence[str]], Awaitable[Ranking | ServiceError]]


class RankedApart:
    """Ranks by a call of another process."""

    def __init__(self, call: RankApart, observe: Observe = ignore) -> None:
        self._call = call
        self._observe = observe

    async def rank(self, query: Query) -> Ranking:
        texts = [document.text for document in query.documents]
        answer = await self._call(replace(query, documents=()), texts)
        if isinstance(answer, ServiceError):
            raise answer
        ranking = replace(answer, query=replace(answer.query, documents=query.documents))
        self._observe(ranked(ranking))
        return ranking


class ModelSide:
    """The other end of the calls: a model that is open and ranks."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def rank(self, query: Query, texts: Sequence[str]) -> Ranking | ServiceError:
        """An error of the request is an answer, not a failed call."""
        documents = [Document(text) for text in texts]
        try:
            ranking = await self._service.rank(replace(query, documents=documents))
        except ServiceError as error:
            return error
        return replace(ranking, query=replace(ranking.query, documents=()))

    @property
    def card(self) -> ModelCard:
        return self._served.card

    def refuse_if_unready(self) -> None:
        if self._service.state != READY:
            raise self._service.state.refusal()

    def signals(self) -> dict[str, float]:
        """To scale on, by the names of the gauges; none if another service ranks."""
        batcher = self._served.batcher
        if batcher is None:
            return {}
        return {
            "queue_seconds_of_work": batcher.pace.seconds_for(batcher.waiting_tokens),
            "utilization": batcher.calls.utilization,
        }

    @property
    def _served(self) -> Served:
        if self._service.served is None:
            raise self._service.state.refusal()
        return self._service.served


def create_http_side(
    settings: Settings,
    fatal: Callable[[LoadFailed], None],
    card: Callable[[], Awaitable[ModelCard]],
    call: RankApart,
) -> FastAPI:
    """Everything but the model: `card` returns when there is a process that ranks."""

    @asynccontextmanager
    async def open_apart(
        _settings: Settings,  # those of the model are read in its own process
        observe: Observe,
        _mark: str,
        _shared: SharedCache | None,
    ) -> AsyncIterator[Served]:
        yield Served(RankedApart(call, observe), await card())

    # Scores are shared by those that compute. `/drain` is for a process that then ends.
    settings = settings.model_copy(update={"shared": None, "admin_key": None})
    return create_app(settings, fatal, opens_model=open_apart)


def refuse_if_failed(app: FastAPI) -> None:
    """The HTTP side loads no model, so it only fails if it could not reach one."""
    state = wiring_of(app).service.local_state
    if state.name == "failed":
        raise state.refusal()


@asynccontextmanager
async def open_model_side(
    settings: Settings, observe: Observe = ignore
) -> AsyncIterator[ModelSide]:
    """Without HTTP and without `/answer`; LoadFailed if the model cannot be loaded."""
    failures: list[LoadFailed] = []
    shared = make_shared_cache(settings, observe)
    service = Service(lambda: open_soon(settings, observe, "", shared), no_answers, failures.append)
    async with opened(shared):
        service.start()
        try:
            await service.settled()
            if failures:
                raise failures[0]
            yield ModelSide(service)
        finally:
            await service.stop()


@asynccontextmanager
async def no_answers(_: Ranker) -> AsyncIterator[AnswerService | None]:
    yield None
