"""The tools by requests to a service: over the network, or to the application of this process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx
from pydantic import BaseModel, Field, ValidationError

from app.errors import InvalidRequest, ServiceError, UpstreamFailed
from app.mcp.backend import Offer
from app.mcp.tools import Tool
from app.upstream.retry import RetryPolicy, retried, retry_hint

logger = logging.getLogger(__name__)

# An agent waits for its tool; what takes longer it should decide itself.
PATIENCE_SECONDS = 20.0
BUSY = RetryPolicy(
    attempts=5, statuses=frozenset({429, 502, 503}), broken_connections=True, max_hint=10.0
)
# A model that cannot be loaded, or an engine that fails, is not there again within seconds.
LASTING = frozenset({"engine_failed"})
OFFER_SECONDS = 5.0
KEY_HINT = "rerankd mcp sends the first of RERANKD_API_KEYS"
UNEXPECTED = "an unexpected error; the log of rerankd mcp has it"


class Info(BaseModel):
    """What `/info` says; a service of an earlier version does not say whether it answers."""

    answers: bool = True
    limits: dict[str, int] = Field(default_factory=dict)


class Problem(BaseModel):
    type: str
    detail: str


async def at_once() -> None:
    """For a service that is not waited for."""


class Forwarding:
    """`ready` is waited for before a call; the list of tools is given at once."""

    def __init__(
        self, client: httpx.AsyncClient, name: str, ready: Callable[[], Awaitable[None]] = at_once
    ) -> None:
        self._client = client
        self._name = name
        self._ready = ready

    async def offer(self) -> Offer:
        """All tools if the service is not there yet: agents ask only once."""
        try:
            response = await self._client.get("/info", timeout=OFFER_SECONDS)
            info = Info.model_validate_json(response.raise_for_status().content)
        except (httpx.HTTPError, ValidationError) as error:
            fields = {"service": self._name, "reason": type(error).__name__}
            logger.warning("mcp_service_unknown", extra={"fields": fields})
            info = Info()
        return Offer(info.answers, info.limits)

    async def call(self, tool: Tool, body: Mapping[str, Any]) -> Mapping[str, Any]:
        await self._ready()
        deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS

        async def attempt() -> httpx.Response:
            response = await self._client.post(f"/{tool.name}", json=body)
            return response if type_of(response) in LASTING else response.raise_for_status()

        try:
            response = await retried(attempt, BUSY, deadline)
            answer: dict[str, Any] = response.raise_for_status().json()
        except httpx.HTTPStatusError as error:
            raise self._failed(error_text(error.response)) from error
        except httpx.TimeoutException as error:
            raise self._failed(f"{self._name} did not answer in time") from error
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise self._failed(f"{self._name} cannot be reached: {reason}") from error
        except ValueError as error:
            raise self._failed(f"{self._name} sent what is not an answer") from error
        return answer

    def _failed(self, text: str) -> UpstreamFailed:
        return UpstreamFailed(text, upstream=self._name)

    def explain(self, tool: Tool, error: Exception) -> str:
        if isinstance(error, InvalidRequest):
            return f"invalid: {error}"
        if isinstance(error, ServiceError):
            return str(error)
        logger.error("mcp_call_failed", exc_info=error, extra={"fields": {"tool": tool.name}})
        return UNEXPECTED


def problem_of(response: httpx.Response) -> Problem | None:
    """None if it is not the error of a rerankd."""
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        return None


def type_of(response: httpx.Response) -> str:
    problem = None if response.is_success else problem_of(response)
    return problem.type if problem else ""


def error_text(response: httpx.Response) -> str:
    """The sentence of a rerankd, or what another server answered."""
    problem = problem_of(response)
    if problem is None:
        return f"{response.request.url} answered {response.status_code}"
    text = f"{problem.type}: {problem.detail}"
    if response.status_code == 401:
        return f"{text} ({KEY_HINT})"
    return text + retry_text(retry_hint(response))


def retry_text(seconds: float | None) -> str:
    return "" if seconds is None else f"; try again in {max(0.1, seconds):.1f} s"
