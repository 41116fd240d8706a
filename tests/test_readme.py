"""The README is short, and what it shows works."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from httpx import AsyncClient

from app.api.answer_bodies import AnswerRequest

README = (Path(__file__).parents[1] / "README.md").read_text()
MAX_WORDS = 1800


def curl_body(path: str) -> dict[str, object]:
    command = re.search(rf"curl -s \S+{path} .*?-d '(\{{.*?\}})'", README, re.DOTALL)
    assert command
    body: dict[str, object] = json.loads(command[1])
    return body


def test_the_readme_fits_three_screens() -> None:
    assert len(README.split()) <= MAX_WORDS


@pytest.mark.anyio
async def test_the_paths_of_the_readme_are_those_of_the_service(client: AsyncClient) -> None:
    table = README.split("| path | purpose |")[1].split("\n\n")[0]
    named = set(re.findall(r"`(/[^`]+)`", table))
    paths = (await client.get("/openapi.json")).json()["paths"]
    served = {  # those of other servers' clients have a page of their own
        path
        for path, operations in paths.items()
        if not any("dialects" in operation.get("tags", ()) for operation in operations.values())
    }
    assert named == served | {"/docs", "/mcp", "/openapi.json", "/ui"}


@pytest.mark.anyio
async def test_the_curl_of_the_readme_is_answered_as_the_readme_shows(client: AsyncClient) -> None:
    answer = (await client.post("/rerank", json=curl_body("/rerank"))).json()
    example = re.search(r"```json\n(.*?)```", README, re.DOTALL)
    assert example
    assert set(answer) == set(json.loads(example[1]))


def test_the_question_of_the_readme_is_a_valid_request() -> None:
    AnswerRequest.model_validate(curl_body("/answer"))
