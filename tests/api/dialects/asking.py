"""What the tests of the dialects ask, and how they read what comes."""

from __future__ import annotations

from typing import Any

from httpx import AsyncClient

QUERY = "how long may I keep the book?"
TEXTS = ["The library opens at nine.", "Books are lent for four weeks.", "A river."]
ASKED = {"query": QUERY, "documents": TEXTS}


async def post(client: AsyncClient, path: str, body: Any, **headers: str) -> Any:
    response = await client.post(path, json=body, headers=headers)
    assert response.status_code == 200, response.text
    return response.json()


def indices(results: list[Any]) -> list[int]:
    return [one["index"] for one in results]
