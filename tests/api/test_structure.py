"""The count of values is exact, whatever stands in the strings, and wherever a chunk ends."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from app.api import structure
from app.api.answer_bodies import AnswerRequest
from app.api.dialects import native
from app.api.dialects.vllm import MAX_PARTS_PER_TEXT
from app.api.structure import Strings, count_values
from app.retrieval.store import MAX_FILTERS
from app.validation import as_invalid
from tests.desk import Desk

SEEDS = 300
LETTERS = 'ab ,[]{}:"\\\n\u00e9\U0001f600'


def text(draw: random.Random) -> str:
    return "".join(draw.choices(LETTERS, k=draw.randrange(12)))


def value(draw: random.Random, depth: int = 0) -> Any:
    kind = draw.randrange(5 if depth < 4 else 3)
    if kind == 3:
        return [value(draw, depth + 1) for _ in range(draw.randrange(4))]
    if kind == 4:
        return {text(draw): value(draw, depth + 1) for _ in range(draw.randrange(4))}
    return (draw.randrange(1000), text(draw), None)[kind]


def counted(body: Any) -> int:
    """By the rule, from what was parsed: an opening each, and a comma between neighbours."""
    if not isinstance(body, list | dict):
        return 0
    inner = body.values() if isinstance(body, dict) else body
    return 1 + max(0, len(body) - 1) + sum(map(counted, inner))


def chunks(raw: bytes, size: int) -> Iterator[bytes]:
    return (raw[start : start + size] for start in range(0, len(raw), size))


@pytest.mark.parametrize("size", [1, 2, 7, 64, 65, 10_000])
def test_separators_outside_of_strings_are_counted_exactly(size: int) -> None:
    for seed in range(SEEDS):
        draw = random.Random(seed)
        body = value(draw)
        raw = json.dumps(body, ensure_ascii=draw.random() < 0.5).encode()
        strings = Strings()
        values = sum(strings.values_outside(chunk) for chunk in chunks(raw, size))
        assert values == counted(body), f"seed {seed}: {raw!r}"


@pytest.mark.anyio
@pytest.mark.parametrize("chunk", [16, 262_144])
async def test_the_limit_is_the_last_number_that_passes(
    monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(structure, "CHUNK_BYTES", chunk)
    raw = bytearray(b'{"a, [ {": "' + b", [{" * 50 + b'", "b": [1, 2, {}]}')
    assert await count_values(raw, 6) == 6
    assert await count_values(raw, 5) > 5


@pytest.mark.anyio
@pytest.mark.parametrize("size", [10, 300_000])
async def test_a_body_with_few_separators_is_not_looked_at_again(size: int) -> None:
    raw = bytearray(b'{"a": "' + b"b" * size + b', [ {"}')
    assert await count_values(raw, 100) == 4


@pytest.mark.anyio
async def test_a_body_of_too_many_values_is_413_and_says_how_many_may_be(desk: Desk) -> None:
    body = {"query": "q", "documents": ["a"], "ignored": [0] * 200}
    async with desk.open(max_json_values=100) as client:
        refused = await client.post("/rerank", json=body)
        prose = await client.post("/rerank", json={**body, "ignored": ", [" * 200})
        info = (await client.get("/info")).json()
    problem = refused.json()
    assert (refused.status_code, problem["type"], problem["limit"]) == (413, "too_large", 100)
    assert problem["detail"] == "the request body holds more than 100 JSON values"
    assert prose.status_code == 200
    assert info["limits"]["json_values"] == 100


@pytest.mark.anyio
async def test_a_text_of_too_many_parts_is_refused_with_the_limit(desk: Desk) -> None:
    part = {"type": "text", "text": "a"}
    body = {"query": "q", "documents": [{"content": [part] * (MAX_PARTS_PER_TEXT + 1)}]}
    async with desk.open() as client:
        error = (await client.post("/vllm/rerank", json=body)).json()["error"]
    assert error["param"] == "documents[0].content"
    assert str(MAX_PARTS_PER_TEXT) in error["message"]


def test_too_many_filters_are_refused_before_any_is_looked_at() -> None:
    with pytest.raises(ValidationError) as refused:
        AnswerRequest(query="q", filters={f"name{index}": [] for index in range(MAX_FILTERS + 1)})  # type: ignore[misc]
    complaint = as_invalid(refused.value)
    assert (complaint.field, complaint.limit) == ("filters", MAX_FILTERS)
    assert refused.value.error_count() == 1


def test_of_many_wrong_documents_the_first_is_told() -> None:
    with pytest.raises(ValidationError) as refused:
        native.parse({"query": "q", "documents": [1] * 1000})
    assert refused.value.error_count() == 1
    assert as_invalid(refused.value).field == "documents[0]"


def test_a_name_that_a_caller_wrote_is_told_in_short() -> None:
    with pytest.raises(ValidationError) as refused:
        AnswerRequest(query="q", filters={"x" * 100_000: []})  # type: ignore[dict-item]
    assert len(str(as_invalid(refused.value))) < 1000
