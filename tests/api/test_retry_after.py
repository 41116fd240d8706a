"""When callers are told to come back, whatever the reason for it was."""

from __future__ import annotations

import math

import pytest

from app.api.problems import retry_headers
from tests.desk import Desk
from tests.llm.server import llm_server, refuses

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, ("1", "1")),
        (-5.0, ("1", "1")),
        (0.25, ("1", "250")),
        (7.0, ("7", "7000")),
        (1e308, ("86400", "86400000")),
        (math.inf, ("86400", "86400000")),
        (math.nan, ("1", "1")),
    ],
)
def test_a_caller_is_told_to_come_back_within_a_day(seconds: float, shown: tuple[str, str]) -> None:
    headers = retry_headers(seconds)
    assert (headers["Retry-After"], headers["retry-after-ms"]) == shown


@pytest.mark.parametrize(
    ("hint", "shown"), [("9" * 308, "86400"), ("-5", "1"), ("120", "120"), ("9" * 9000, "1")]
)
async def test_what_another_service_says_is_passed_on_as_far_as_it_makes_sense(
    desk: Desk, hint: str, shown: str
) -> None:
    async with (
        llm_server(refuses(429, Retry_After=hint)) as server,
        desk.open(model=server.url.removesuffix("/v1"), upstream_timeout_ms=5000) as client,
    ):
        response = await client.post(
            "/rerank", json={"query": "q", "documents": ["a"], "timeout_ms": 20_000}
        )
    assert (response.status_code, response.json()["type"]) == (429, "upstream_busy")
    assert response.headers["retry-after"] == shown
