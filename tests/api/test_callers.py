"""What one API key has asked cannot be told from what another is answered."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncClient

from app.metrics import Metrics
from tests.desk import Desk
from tests.fakes import FakeRetriever

pytestmark = pytest.mark.anyio

BODY = {"query": "how long", "documents": ["four weeks", "a book"], "diagnostics": True}
ASKED = {"query": "how long may I keep the book", "initial_k": 20, "min_score": 0}


async def cached(client: AsyncClient, key: str) -> int:
    response = await client.post("/rerank", json=BODY, headers={"X-API-Key": key})
    assert response.status_code == 200
    count: int = response.json()["diagnostics"]["cached"]
    return count


async def test_scores_are_shared_within_a_key_and_not_between_keys(desk: Desk) -> None:
    async with desk.open(api_keys="one,two") as client:
        assert [await cached(client, key) for key in ("one", "two", "one", "two")] == [0, 0, 2, 2]


async def test_the_header_that_carries_a_key_makes_no_other_caller(desk: Desk) -> None:
    async with desk.open(api_keys="one,two") as client:
        await cached(client, "one")
        headers = {"Authorization": "Bearer one"}
        again = await client.post("/rerank", json=BODY, headers=headers)
        assert again.json()["diagnostics"]["cached"] == 2


@pytest.mark.parametrize(
    "settings",
    [
        {"api_keys": "one"},
        {"api_keys": "one,one"},
        {},
        {"api_keys": "one,two", "share_cache": True},
    ],
)
async def test_one_caller_or_the_setting_shares_them(desk: Desk, settings: dict[str, Any]) -> None:
    keys = ["one", "two" if settings.get("share_cache") or not settings else "one"]
    async with desk.open(**settings) as client:
        assert [await cached(client, key) for key in keys] == [0, 2]


async def test_what_is_being_computed_for_one_key_is_not_waited_for_by_another(desk: Desk) -> None:
    async with desk.open(api_keys="one,two") as client:
        counts = await asyncio.gather(*(cached(client, key) for key in ("one", "two", "one")))
        assert counts[:2] == [0, 0]


def reused(desk: Desk) -> float:
    """Scores that were taken from the cache."""
    metrics: Metrics = desk.app.state.wiring.metrics
    value = metrics.registry.get_sample_value("rerankd_scores_reused_total", {"source": "cache"})
    assert value is not None
    return value


async def test_every_dialect_keeps_callers_apart(desk: Desk) -> None:
    requests: list[tuple[str, dict[str, Any]]] = [
        ("/v2/rerank", {"model": "m", "query": "how long", "documents": ["four weeks"]}),
        ("/score", {"text_1": "how", "text_2": ["four weeks"]}),
    ]
    async with desk.open(api_keys="one,two") as client:
        for key in ("one", "two"):
            for path, body in requests:
                response = await client.post(path, json=body, headers={"X-API-Key": key})
                assert response.status_code == 200, response.text
        assert reused(desk) == 0


async def test_passages_of_an_answer_are_scored_for_each_caller_alone(model: Path) -> None:
    desk = Desk(model, FakeRetriever("The library opens at nine.", "Books are lent for weeks."))
    counts = []
    async with desk.open(api_keys="one,two") as client:
        for key in ("one", "two", "one"):
            before = reused(desk)
            response = await client.post("/answer", json=ASKED, headers={"X-API-Key": key})
            assert response.json()["outcome"] == "extractive"
            counts.append(reused(desk) - before)
    # Two passages; as sentences of the extract they are known from their own ranking.
    assert counts[0] == counts[1] < counts[2]
