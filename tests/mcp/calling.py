"""The official SDK's own client, against a service over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent

# The current protocol, and the handshake of older clients.
MODES = ("auto", "legacy")
QUERY = "how long may I keep the book"
DOCUMENTS = [
    "The library opens at nine.",
    "Books are lent for four weeks.",
    "Bananas are yellow.",
]
ARGUMENTS: dict[str, Any] = {"query": QUERY, "documents": DOCUMENTS}


@asynccontextmanager
async def connected(
    url: str, headers: Mapping[str, str] | None = None, mode: str = "auto"
) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers=dict(headers or {}), timeout=60) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as client,
    ):
        yield client


def text_of(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


async def refused(client: Client, tool: str, arguments: dict[str, Any]) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    assert result.structured_content is None
    return text_of(result)
