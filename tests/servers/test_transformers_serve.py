"""`transformers serve`, which nobody here wrote, with a small random-weight model."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import models
from tests.deploy.processes import free_port, running
from tests.desk import Desk
from tests.fakes import FakeRetriever

pytestmark = pytest.mark.anyio

ASKED = {"query": "how long may I keep the book", "initial_k": 20, "min_score": 0}


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("serve")
    model = models.qwen3(folder / "model")
    port = free_port()
    program = Path(sys.executable).with_name("transformers")
    command = ["env", "HF_HUB_OFFLINE=1", "OMP_NUM_THREADS=1", program, "serve", model]
    command += ["--port", port, "--device", "cpu", "--default-seed", 0]
    url = f"http://127.0.0.1:{port}"
    with running([str(part) for part in command], folder / "log", f"{url}/health"):
        yield f"{url}/v1#{model}"


@pytest.fixture
def room(model: Path) -> Desk:
    return Desk(
        model, FakeRetriever("Books are lent for four weeks.", "The library opens at nine.")
    )


def check(answer: dict[str, Any], llm: str) -> None:
    assert (answer["outcome"], answer["llm"]) == ("answered", llm.partition("#")[2])
    assert answer["answer"].strip()
    assert answer["usage"]["prompt_tokens"] > 100
    assert 0 < answer["usage"]["completion_tokens"] <= 20
    assert "the answer was cut" in " ".join(answer["warnings"])


async def test_a_whole_answer_is_read(room: Desk, llm: str) -> None:
    async with room.open(llm=llm, llm_max_tokens=20) as client:
        check((await client.post("/answer", json=ASKED)).json(), llm)


async def test_a_streamed_answer_is_read(room: Desk, llm: str) -> None:
    async with room.open(llm=llm, llm_max_tokens=20) as client:
        text = (await client.post("/answer", json={**ASKED, "stream": True})).text
    blocks = [block.split("\n") for block in text.split("\n\n") if block]
    events = [(name[7:], json.loads(data[6:])) for name, data in blocks]
    names = [name for name, _ in events]
    assert (names[0], set(names[1:-1]), names[-1]) == ("sources", {"text"}, "answer")
    check(events[-1][1], llm)
    assert (
        "".join(data["text"] for name, data in events if name == "text") == events[-1][1]["answer"]
    )


async def test_a_model_that_it_does_not_have_is_a_failure_that_is_told(
    room: Desk, llm: str
) -> None:
    async with room.open(llm=f"{llm.partition('#')[0]}#/nowhere", llm_attempts=1) as client:
        answer = (await client.post("/answer", json=ASKED)).json()
    assert answer["outcome"] == "extractive"
    assert "extracted, not written: /nowhere answered" in " ".join(answer["warnings"])
