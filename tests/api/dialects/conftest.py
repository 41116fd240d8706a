"""The order that each dialect must give."""

from __future__ import annotations

import pytest
from httpx import AsyncClient

from tests.api.dialects.asking import BODY, post


@pytest.fixture
async def logits(client: AsyncClient) -> list[float]:
    answer = await post(client, "/rerank", BODY | {"score": "logit"})
    results = sorted(answer["results"], key=lambda result: result["index"])
    return [result["relevance_score"] for result in results]


@pytest.fixture
def order(logits: list[float]) -> list[int]:
    return sorted(range(len(logits)), key=lambda index: -logits[index])
