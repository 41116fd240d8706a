"""What the tests of the dialects send, and how they read the answer."""

from __future__ import annotations

from typing import Any

from httpx import AsyncClient

QUERY = "how long may I keep the book?"
TEXTS = ["The library opens at nine.", "Books are lent for four weeks.", "A river."]
BODY = {"query": QUERY, "documents": TEXTS}


async def post(client: AsyncClient, path: str, body: Any, **headers: str) -> Any:
    response = await client.post(path, json=body, headers=headers)
    assert response.status_code == 200, response.text
    return response.json()


def indices(results: list[Any]) -> list[int]:
    return [result["index"] for result in results]
