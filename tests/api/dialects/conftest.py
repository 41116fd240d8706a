"""The order that each dialect must give."""

from __future__ import annotations

import pytest
from httpx import AsyncClient

from tests.api.dialects.asking import ASKED, post


@pytest.fixture
async def logits(client: AsyncClient) -> list[float]:
    answer = await post(client, "/rerank", ASKED | {"score": "logit"})
    return [
        one["relevance_score"] for one in sorted(answer["results"], key=lambda one: one["index"])
    ]


@pytest.fixture
def order(logits: list[float]) -> list[int]:
    return sorted(range(len(logits)), key=lambda index: -logits[index])
