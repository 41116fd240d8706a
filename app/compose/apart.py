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
from app.compose.app import create_app, open_soon
from app.errors import LoadFailed, ServiceError
from app.events import Observe, ignore
from app.model_card import ModelCard
from app.rerank.query import Document, Query, Ranker, Ranking
from app.rerank.ranking import ranked
from app.service import Served, Service
from app.settings import Settings
from app.shared_cache.cache import SharedCache

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


async def answer_call(ranker: Ranker, query: Query, texts: Sequence[str]) -> Ranking | ServiceError:
    """The other end of the call. An error of the request is an answer, not a failed call."""
    documents = [Document(text) for text in texts]
    try:
        ranking = await ranker.rank(replace(query, documents=documents))
    except ServiceError as error:
        return error
    return replace(ranking, query=replace(ranking.query, documents=()))


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

    return create_app(settings, fatal, opens_model=open_apart)


@asynccontextmanager
async def open_ranking(settings: Settings, observe: Observe = ignore) -> AsyncIterator[Service]:
    """A service without HTTP and without `/answer`; LoadFailed if its model cannot be loaded."""
    failures: list[LoadFailed] = []
    service = Service(lambda: open_soon(settings, observe, ""), no_answers, failures.append)
    service.start()
    try:
        await service.settled()
        if failures:
            raise failures[0]
        yield service
    finally:
        await service.stop()


@asynccontextmanager
async def no_answers(_: Ranker) -> AsyncIterator[AnswerService | None]:
    yield None
