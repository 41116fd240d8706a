"""What the tools need of a service: the one of this process, or one elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from app.mcp.tools import Limits, Tool


class Offer(NamedTuple):
    answers: bool  # whether `/answer` has a store
    limits: Limits


class Backend(Protocol):
    async def offer(self) -> Offer: ...

    async def call(self, tool: Tool, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """The body that the service answers with."""
        ...

    def explain(self, tool: Tool, error: Exception) -> str:
        """Record an error, of `call` or of the arguments, and say in one sentence what it is."""
        ...
