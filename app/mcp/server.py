"""The tools over the official SDK: one server for both transports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from pydantic_core import to_json

from app import __version__
from app.mcp.backend import Backend
from app.mcp.tools import ANSWER, INSTRUCTIONS, TOOLS, Limits, Tool

Context = ServerRequestContext[Any, Any]
McpServer = Server[Any]
# Nothing is written, and nothing outside of the service is read.
HINTS = types.ToolAnnotations(
    read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)


def make_server(backend_of: Callable[[Any], Backend]) -> McpServer:
    """`backend_of` receives the HTTP request, or None from standard input."""

    async def list_tools(
        context: Context,
        _: types.PaginatedRequestParams | None,
    ) -> types.ListToolsResult:
        offer = await backend_of(context.request).offer()
        offered = [tool for tool in TOOLS.values() if tool is not ANSWER or offer.answers]
        return types.ListToolsResult(tools=[described(tool, offer.limits) for tool in offered])

    async def call_tool(
        context: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        tool = TOOLS.get(params.name)
        if tool is None:
            names = ", ".join(TOOLS)
            raise MCPError(types.INVALID_PARAMS, f"no tool {params.name[:80]!r}; there are {names}")
        return await call(backend_of(context.request), tool, params.arguments or {})

    return Server(
        "rerankd",
        version=__version__,
        title="rerankd",
        instructions=INSTRUCTIONS,
        get_tool_input_schema=lambda _: None,  # no argument is a header too
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def call(backend: Backend, tool: Tool, arguments: dict[str, Any]) -> types.CallToolResult:
    """An error is a result that the agent reads, and may correct."""
    try:
        answer = await backend.call(tool, tool.body(arguments))
        output = tool.output(answer).model_dump(exclude_none=True)
    except Exception as error:  # noqa: BLE001 (the backend logs those that are unexpected)
        text = types.TextContent(text=backend.explain(tool, error))
        return types.CallToolResult(content=[text], is_error=True)
    # The text is for clients that do not read structured results.
    written = to_json(output, inf_nan_mode="null").decode()
    return types.CallToolResult(
        content=[types.TextContent(text=written)], structured_content=output
    )


def described(tool: Tool, limits: Limits) -> types.Tool:
    return types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        input_schema=tool.input_schema(limits),
        output_schema=tool.output_schema(),
        annotations=HINTS,
    )
