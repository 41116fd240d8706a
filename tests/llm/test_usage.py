"""What services report that they used: believed where it can be true, estimated where it cannot."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic_core import from_json

from app.llm import TokenUsage
from app.llm.formats.anthropic import Anthropic, tokens_of
from app.llm.formats.format import MAX_TOKENS, token_count
from app.llm.formats.openai import OpenAI
from tests.llm.server import delta

ODD = ["1e999", "-5", "NaN", '"12"', "true", "null", "[]", "{}", "1" + "0" * 400, "10000001"]


@pytest.mark.parametrize("text", ODD)
def test_what_cannot_be_a_number_of_tokens_is_ignored(text: str) -> None:
    assert token_count(from_json(text)) is None


@pytest.mark.parametrize(("value", "count"), [(0, 0), (12, 12), (12.0, 12), (MAX_TOKENS,) * 2])
def test_a_number_of_tokens_is_read(value: Any, count: int) -> None:
    assert token_count(value) == count


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
def test_openais_usage_is_believed_whole_or_not_at_all(name: str, text: str) -> None:
    usage = {"prompt_tokens": 90, "completion_tokens": 10, name: from_json(text)}
    body = {"choices": [{"message": {"content": "Four."}}], "usage": usage}
    assert OpenAI(newest=True).whole(body)[1].tokens is None
    stream = OpenAI(newest=True).reader()
    assert stream.read(delta("Four.", "stop") | {"usage": usage}) == "Four."
    stream.finish()
    assert stream.completion is not None
    assert stream.completion.tokens is None


@pytest.mark.parametrize("usage", [None, [], 7, "x", {}, {"prompt_tokens": 0}])
def test_a_usage_of_another_kind_is_none(usage: Any) -> None:
    body = {"choices": [{"message": {"content": "Four."}}], "usage": usage}
    assert OpenAI(newest=True).whole(body)[1].tokens is None
    assert tokens_of(usage) is None


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize("name", ["input_tokens", "output_tokens"])
def test_anthropics_usage_is_believed_whole_or_not_at_all(name: str, text: str) -> None:
    usage = {"input_tokens": 90, "output_tokens": 10, name: from_json(text)}
    assert tokens_of(usage) is None
    stream = Anthropic().reader()
    stream.read({"type": "message_start", "message": {"usage": usage}})
    stream.read({"type": "message_delta", "delta": {}, "usage": usage})
    stream.finish()
    assert stream.completion is not None
    assert stream.completion.tokens is None


def test_what_anthropic_read_from_its_cache_may_be_null_but_not_odd() -> None:
    usage = {"input_tokens": 5, "output_tokens": 3, "cache_creation_input_tokens": None}
    assert tokens_of(usage) == TokenUsage(5, 3)
    assert tokens_of(usage | {"cache_read_input_tokens": 80}) == TokenUsage(85, 3)
    assert tokens_of(usage | {"cache_read_input_tokens": -80}) is None
