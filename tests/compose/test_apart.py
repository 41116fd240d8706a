"""The HTTP side and the models in processes of their own: every call passes through pickle here."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asgi_lifespan import LifespanManager
from httpx import ASGITransport, AsyncClient

from app.api.wiring import wiring_of
from app.compose.apart import (
    ModelSide,
    RankedApart,
    create_http_side,
    open_model_side,
    refuse_if_failed,
)
from app.compose.gauges import BATCHER
from app.errors import EngineFailed, InvalidRequest, LoadFailed, QueueFull, ServiceError
from app.events import Event, Ranked
from app.model_card import ModelCard
from app.rerank.query import Document, Query, Ranking
from app.service import Served, Service
from app.settings import Settings, load
from tests.desk import Desk
from tests.fakes import CARD, OverlapReranker

pytestmark = pytest.mark.anyio

DOCUMENTS = [
    Document("red fish in the sea", id=7, body={"kept": [1]}),
    Document("blue sky", id="b"),
]
QUESTION = {
    "query": "how long may I keep the book",
    "documents": [
        {"id": 4, "text": "Books are lent for four weeks.", "shelf": "b"},
        "",
        "The library opens at nine.",
    ],
}
BODIES: list[dict[str, Any]] = [
    QUESTION,
    QUESTION | {"top_n": 1, "return_documents": True},
    QUESTION | {"explain": True, "score": "logit"},
    QUESTION | {"instruction": "find it", "long_documents": "windows"},
    QUESTION | {"relevant_spans": {"threshold": 0.1}},
    QUESTION | {"score": "calibrated"},
    QUESTION | {"documents": ["long " * 200], "truncate": False},
    {"query": "none"},
]


def unexpected(error: LoadFailed) -> None:
    raise error


def settings_for(model: Path, **more: Any) -> Settings:
    return load({}, model=str(model), device="cpu", engine="torch", **more)


async def over(side: ModelSide, query: Query, texts: Sequence[str]) -> Ranking | ServiceError:
    """As Ray calls: arguments and answer pass from process to process."""
    sent_query, sent_texts = pickle.loads(pickle.dumps((query, texts)))
    answer: Ranking | ServiceError = pickle.loads(
        pickle.dumps(await side.rank(sent_query, sent_texts))
    )
    return answer


@asynccontextmanager
async def apart(model: Path, **more: Any) -> AsyncIterator[AsyncClient]:
    settings = settings_for(model, **more)

    async with open_model_side(settings) as side:

        async def card() -> ModelCard:
            return side.card

        async def call(query: Query, texts: Sequence[str]) -> Ranking | ServiceError:
            return await over(side, query, texts)

        app = create_http_side(settings, unexpected, card, call)
        async with LifespanManager(app):
            await wiring_of(app).service.settled()
            refuse_if_failed(app)
            transport = ASGITransport(app)
            async with AsyncClient(transport=transport, base_url="http://test") as client:
                yield client


async def ask_all(client: AsyncClient) -> list[Any]:
    answers = [await client.post("/rerank", json=body) for body in BODIES]
    return [(answer.status_code, comparable(answer.json())) for answer in answers]


def comparable(value: Any) -> Any:
    if isinstance(value, dict):
        own = {"request_id"} if value.get("id") == 4 else {"request_id", "id"}  # of the answer
        return {key: comparable(part) for key, part in value.items() if key not in own}
    if isinstance(value, list):
        return [comparable(part) for part in value]
    return pytest.approx(value, abs=1e-5) if isinstance(value, float) else value


async def test_an_answer_equals_that_of_the_service_in_a_single_process(
    model: Path, desk: Desk
) -> None:
    async with apart(model) as client:
        answers = await ask_all(client)
        info = (await client.get("/info")).json()
    async with desk.open() as client:
        assert await ask_all(client) == answers
        own_info = (await client.get("/info")).json()
    assert info | {"load_seconds": 0} == own_info | {"load_seconds": 0}


async def test_the_documents_stay_on_the_http_side() -> None:
    sent: list[tuple[Query, Sequence[str]]] = []
    events: list[Event] = []

    async def call(query: Query, texts: Sequence[str]) -> Ranking | ServiceError:
        sent.append((query, texts))
        ranking = await side.rank(query, texts)
        assert isinstance(ranking, Ranking)
        assert ranking.query.documents == ()
        return ranking

    async with side_over(OverlapReranker()) as side:
        query = Query("red fish", DOCUMENTS, top_n=1)
        ranking = await RankedApart(call, events.append).rank(query)
    assert sent[0][0].documents == ()
    assert sent[0][1] == ["red fish in the sea", "blue sky"]
    assert ranking.query.documents == DOCUMENTS
    assert [result.index for result in ranking.results] == [0]
    assert [type(event) for event in events] == [Ranked]


@asynccontextmanager
async def side_over(ranker: OverlapReranker) -> AsyncIterator[ModelSide]:
    @asynccontextmanager
    async def open_model() -> AsyncIterator[Served]:
        yield Served(ranker, CARD)

    @asynccontextmanager
    async def no_answers(_: object) -> AsyncIterator[None]:
        yield None

    service = Service(open_model, no_answers, unexpected)
    service.start()
    await service.settled()
    yield ModelSide(service)
    await service.stop()


class Refusing(OverlapReranker):
    def __init__(self, error: ServiceError) -> None:
        super().__init__()
        self._error = error

    async def rank(self, query: Query) -> Ranking:
        raise self._error


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequest("query: is wrong", field="query", limit=3),
        QueueFull("the queue is full", retry_after=2.5),
    ],
)
async def test_an_error_of_a_request_arrives_with_all_that_it_says(error: ServiceError) -> None:
    async with side_over(Refusing(error)) as side:
        apart = RankedApart(lambda query, texts: over(side, query, texts))
        with pytest.raises(type(error)) as raised:
            await apart.rank(Query("red", DOCUMENTS))
    assert (str(raised.value), vars(raised.value)) == (str(error), vars(error))


async def test_an_error_of_the_program_is_a_failed_call() -> None:
    class Broken(OverlapReranker):
        async def rank(self, query: Query) -> Ranking:
            raise ZeroDivisionError

    async with side_over(Broken()) as side:
        with pytest.raises(ZeroDivisionError):
            await side.rank(Query("red", ()), ["blue"])


async def test_the_http_side_is_ready_when_there_is_a_process_that_ranks(model: Path) -> None:
    arrived: asyncio.Future[ModelCard] = asyncio.get_running_loop().create_future()

    async def card() -> ModelCard:
        return await arrived

    async def call(query: Query, texts: Sequence[str]) -> Ranking | ServiceError:
        return EngineFailed("two replicas ended")

    app = create_http_side(settings_for(model), unexpected, card, call)
    async with (
        LifespanManager(app),
        AsyncClient(transport=ASGITransport(app), base_url="http://test") as client,
    ):
        before = (
            (await client.get("/readyz")).status_code,
            await client.post("/rerank", json=QUESTION),
        )
        refuse_if_failed(app)
        arrived.set_result(CARD)
        await wiring_of(app).service.settled()
        after = (
            (await client.get("/readyz")).status_code,
            await client.post("/rerank", json=QUESTION),
        )
    assert (before[0], before[1].status_code, before[1].json()["type"]) == (503, 503, "loading")
    assert (after[0], after[1].status_code) == (200, 503)
    assert after[1].json()["detail"] == "two replicas ended"
    assert after[1].headers["retry-after"] == "5"


async def test_an_http_side_that_reaches_no_model_says_that_it_failed(model: Path) -> None:
    failures: list[LoadFailed] = []

    async def card() -> ModelCard:
        raise LoadFailed("no model is deployed")

    async def call(query: Query, texts: Sequence[str]) -> Ranking | ServiceError:
        raise AssertionError

    app = create_http_side(settings_for(model), failures.append, card, call)
    async with LifespanManager(app):
        await wiring_of(app).service.settled()
        with pytest.raises(EngineFailed, match="no model is deployed"):
            refuse_if_failed(app)
    assert [str(failure) for failure in failures] == ["no model is deployed"]


async def test_a_model_that_cannot_be_loaded_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(LoadFailed):
        async with open_model_side(settings_for(tmp_path / "nothing")):
            pass


async def test_the_signals_are_those_that_other_autoscalers_read(model: Path) -> None:
    async with open_model_side(settings_for(model)) as side:
        side.refuse_if_unready()
        signals = side.signals()
    assert signals.keys() <= BATCHER.keys()
    assert signals["queue_seconds_of_work"] == 0
    assert 0 <= signals["utilization"] <= 1
    with pytest.raises(ServiceError):
        side.refuse_if_unready()
    with pytest.raises(ServiceError):
        side.signals()


async def test_a_model_of_another_service_has_no_signals() -> None:
    async with side_over(OverlapReranker()) as side:
        assert side.signals() == {}
        assert side.card == CARD
