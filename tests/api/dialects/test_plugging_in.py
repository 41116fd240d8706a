"""A dialect that is added to the list is served, documented and refused in its own format."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from app.api.dialects import DIALECTS
from app.api.dialects.dialect import Body, Dialect, Fault, Label
from app.rerank.query import Document, Query, Ranking
from tests.desk import Desk

pytestmark = pytest.mark.anyio


class ShoutRequest(BaseModel):
    question: str
    lines: list[str]


def parse(body: Body) -> Query:
    request = ShoutRequest.model_validate(body)
    return Query(request.question, [Document(line) for line in request.lines])


def render(ranking: Ranking, label: Label) -> list[int]:
    return [result.index for result in ranking.results]


def refuse(fault: Fault) -> Body:
    return {"shout": fault.detail.upper()}


SHOUT = Dialect(
    "shout",
    ("/shout/rank", "/loud"),
    ShoutRequest,
    list[int],
    parse,
    render,
    refuse,
    prefix="shout",
    recognises=lambda signs: "lines" in signs.keys,
    documents="lines",
)
BODY = {"question": "which river", "lines": ["the river Danube", "a book"]}


@pytest.fixture
def desk(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr("app.compose.app.DIALECTS", (SHOUT, *DIALECTS))
    return desk


@pytest.mark.parametrize("path", ["/shout/rank", "/loud", "/rerank", "/v1/rerank"])
async def test_a_dialect_that_is_added_is_served_and_recognised(desk: Desk, path: str) -> None:
    async with desk.open() as client:
        response = await client.post(path, json=BODY)
    assert (response.status_code, sorted(response.json())) == (200, [0, 1])


async def test_a_dialect_that_is_added_refuses_in_its_own_words(desk: Desk) -> None:
    async with desk.open(max_documents=1) as client:
        response = await client.post("/shout/rank", json=BODY)
    assert response.json() == {"shout": response.json()["shout"]}
    assert response.json()["shout"].startswith("LINES")


async def test_a_dialect_that_is_added_is_documented_once_with_its_limits(desk: Desk) -> None:
    async with desk.open(max_documents=7) as client:
        schema = (await client.get("/openapi.json")).json()
        assert (await client.get("/shout/v1/models")).status_code == 200
    assert [path for path in schema["paths"] if path in SHOUT.paths] == ["/shout/rank"]
    assert schema["components"]["schemas"]["ShoutRequest"]["properties"]["lines"]["maxItems"] == 7
