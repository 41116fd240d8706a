from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.clients.calls import DOCUMENTS, KEY, QUERY, Bench
from tests.clients.full import full
from tests.live.service import running


@pytest.fixture(scope="session")
def bench() -> Iterator[Bench]:
    """A service with a key, another that is full, and what the first one itself answers."""
    with running(api_keys=KEY) as service, full() as full_url:
        yield Bench(service.url, full_url, ask(service.url))


def ask(url: str) -> dict[str, Any]:
    body = {"query": QUERY, "documents": DOCUMENTS, "score": "logit"}
    headers = {"Authorization": f"Bearer {KEY}"}
    answer: dict[str, Any] = httpx.post(f"{url}/rerank", json=body, headers=headers).json()
    return answer
