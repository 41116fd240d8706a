"""What the tests of `/answer` ask, and how they read what comes."""

from __future__ import annotations

import json
from typing import Any

from httpx import AsyncClient

from tests.llm.server import LLMServer

TEXTS = ("The library opens at nine.", "Books are lent for four weeks.", "Bananas are yellow.")
BODY = {"query": "how long may I keep the book", "initial_k": 20, "min_score": 0}


def llm_of(server: LLMServer, **more: Any) -> dict[str, Any]:
    return {"llm": f"{server.url}#m", "llm_keys": "sk-secret", "llm_attempts": 2, **more}


def events_of(text: str) -> list[tuple[str, Any]]:
    blocks = [block.split("\n") for block in text.split("\n\n") if block]
    return [
        (name.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
        for name, data in blocks
    ]


async def streamed(client: AsyncClient, **more: Any) -> list[tuple[str, Any]]:
    response = await client.post("/answer", json={**BODY, "stream": True, **more})
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-request-id"]
    return events_of(response.text)
