"""`prefilter` of POST /rerank, with the bundled model, which knows how much each word matters."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncClient

from app.engines.spec import BUNDLED_FOLDER
from app.evaluation.local import LocalScorer
from app.evaluation.problems import NotMeasurable
from app.evaluation.remote import RemoteScorer
from app.rerank.query import UNSCORED
from tests.desk import Desk

pytestmark = pytest.mark.anyio

QUERY = "how long may I keep the book?"
DOCUMENTS = [
    "Bananas are rich in potassium.",
    "Books are lent for four weeks.",
    "The library opens at nine.",
    "You may keep a book for four weeks.",
    "Which river runs through ten lands?",
]


@pytest.fixture(scope="module")
async def desk() -> AsyncIterator[tuple[Desk, AsyncClient]]:
    desk = Desk(BUNDLED_FOLDER)
    async with desk.open() as client:
        yield desk, client


@pytest.fixture(scope="module")
def bundled(desk: tuple[Desk, AsyncClient]) -> AsyncClient:
    return desk[1]


async def ask(client: AsyncClient, **more: Any) -> dict[str, Any]:
    response = await client.post("/rerank", json={"query": QUERY, "documents": DOCUMENTS, **more})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_the_best_results_are_the_same_with_fewer_documents_scored(
    bundled: AsyncClient,
) -> None:
    whole = await ask(bundled, top_n=1)
    answer = await ask(bundled, top_n=1, prefilter=2)
    assert answer["results"] == whole["results"]
    assert answer["usage"]["documents"] == len(DOCUMENTS)
    assert answer["usage"]["unscored"] == 3
    assert answer["usage"]["total_tokens"] < whole["usage"]["total_tokens"]
    assert "warnings" not in answer


async def test_more_than_there_are_leaves_nothing_out(bundled: AsyncClient) -> None:
    assert "unscored" not in (await ask(bundled, top_n=1, prefilter=5))["usage"]


@pytest.mark.parametrize(
    ("wanted", "says", "limit"),
    [
        ({"prefilter": 2}, "prefilter: it needs top_n", None),
        ({"prefilter": 2, "top_n": 0}, "prefilter: it needs top_n", None),
        ({"prefilter": 2, "top_n": 3}, "prefilter: 2 is less than top_n, 3", 3),
        ({"prefilter": 0, "top_n": 1}, "prefilter", None),
        ({"prefilter": "2", "top_n": 1}, "prefilter", None),
    ],
)
async def test_a_prefilter_that_would_lose_results_is_refused(
    wanted: dict[str, Any], says: str, limit: int | None, bundled: AsyncClient
) -> None:
    body = {"query": QUERY, "documents": DOCUMENTS, **wanted}
    response = await bundled.post("/rerank", json=body)
    assert response.status_code == 422
    problem = response.json()
    assert says in problem["detail"]
    assert problem["field"] == "prefilter"
    assert limit is None or problem["limit"] == limit


async def test_another_model_scores_all_and_says_so(client: AsyncClient, model: Path) -> None:
    answer = await ask(client, top_n=1, prefilter=2)
    assert answer["warnings"] == [f"model {model.name} has no prefilter: all documents were scored"]
    with pytest.raises(NotMeasurable, match="has no prefilter"):
        await (await greeted(client)).with_prefilter(2).score(QUERY, DOCUMENTS)


async def greeted(client: AsyncClient) -> RemoteScorer:
    scorer = RemoteScorer(client)
    await scorer.greet()
    return scorer


async def test_a_measurement_gets_the_same_from_the_service_and_from_the_engine(
    desk: tuple[Desk, AsyncClient],
) -> None:
    opened, client = desk
    remote = (await greeted(client)).with_prefilter(2)
    local = LocalScorer("here", opened.app.state.wiring.service.reranker()).with_prefilter(2)
    scores = await remote.score(QUERY, DOCUMENTS)
    assert scores == pytest.approx(await local.score(QUERY, DOCUMENTS), abs=1e-4)
    assert list(scores).count(UNSCORED) == 3
    assert (remote.name, local.name) == ("rerankd-minilm, prefilter 2", "here, prefilter 2")
