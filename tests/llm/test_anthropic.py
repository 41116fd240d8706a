"""Anthropic's messages over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from app.errors import UpstreamFailed
from app.llm import Completion, TokenUsage
from app.llm.formats.anthropic import Anthropic
from tests.llm.asking import listen, open_client
from tests.llm.server import llm_server, sends

pytestmark = pytest.mark.anyio


async def test_anthropics_messages_come_whole() -> None:
    body = (
        b'{"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Four."}],'
        b'"stop_reason": "end_turn", "usage": {"input_tokens": 5, "cache_read_input_tokens": 80,'
        b'"output_tokens": 3}}'
    )
    async with llm_server(sends(body)) as server:
        heard = await listen(open_client(server, format_=Anthropic()), stream=False)
    assert heard == (["Four."], Completion(TokenUsage(85, 3)))
    (request,) = server.requests
    assert request.headers["x-api-key"] == "sk-secret"
    assert "anthropic-version" in request.headers
    assert request.body["system"] == "Rules."
    assert request.body["messages"] == [{"role": "user", "content": "How long?"}]


async def test_anthropics_messages_come_in_pieces() -> None:
    async def behave(exchange: Any) -> None:
        await exchange.begin()
        for event in (
            {"type": "message_start", "message": {"usage": {"input_tokens": 85}}},
            {"type": "ping"},
            {"type": "content_block_delta", "delta": {"type": "thinking_delta", "thinking": "x"}},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Four "}},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "weeks."}},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "max_tokens"},
                "usage": {"output_tokens": 3},
            },
            {"type": "message_stop"},
        ):
            await exchange.event(event)
        await exchange.end()

    async with llm_server(behave) as server:
        heard = await listen(open_client(server, format_=Anthropic()), stream=True)
    assert heard == (["Four ", "weeks."], Completion(TokenUsage(85, 3), "length"))


@pytest.mark.parametrize("error", [True, False])
async def test_anthropics_stream_that_stops_early_is_a_failure(error: bool) -> None:
    async def behave(exchange: Any) -> None:
        await exchange.begin()
        await exchange.event(
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Four "}}
        )
        if error:
            await exchange.event({"type": "error", "error": {"type": "overloaded_error"}})
        await exchange.end()

    async with llm_server(behave) as server:
        with pytest.raises(UpstreamFailed, match="broke off"):
            await listen(open_client(server, format_=Anthropic()), stream=True)
