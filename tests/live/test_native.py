"""The service with the engine `native`."""

from __future__ import annotations

import httpx
import pytest

from app.engines.native import library
from tests.live.service import running

QUESTION = {
    "query": "which river flows through Vienna",
    "documents": ["The library opens at nine.", "The Danube flows through Vienna.", "Salt."],
}


@pytest.mark.skipif(
    library.available() is None, reason="needs a C compiler and a processor for the library"
)
def test_the_engine_serves_when_it_is_set_by_name() -> None:
    with running(engine="native", dtype="int8") as service:
        service.wait_until_ready()
        info = httpx.get(f"{service.url}/info", timeout=60).json()
        answer = httpx.post(f"{service.url}/rerank", json=QUESTION, timeout=60).json()
    assert (info["engine"], info["dtype"]) == ("native", "int8")
    assert answer["results"][0]["index"] == 1
