"""Does what conversations ask for: sends and waits, with and without asyncio."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Protocol, TypeVar

import httpx

from rerankd.conversation import Conversation, Send, Step, Wait

Result = TypeVar("Result")
# A host that does not answer leaves time to try again.
CONNECT_SECONDS = 5.0


class Clock(Protocol):
    def now(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The time of the machine; tests use another."""

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def limits_of(seconds: float) -> httpx.Timeout:
    limit = None if seconds == math.inf else seconds
    return httpx.Timeout(limit, connect=min(seconds, CONNECT_SECONDS))


def request_of(client: httpx.Client | httpx.AsyncClient, step: Send) -> httpx.Request:
    timeout = limits_of(step.seconds)
    if step.content is None:
        return client.build_request("GET", step.path, timeout=timeout)
    headers = {"Content-Type": "application/json"}
    return client.build_request(
        "POST", step.path, content=step.content, headers=headers, timeout=timeout
    )


class Driver:
    """httpx limits each operation; the whole is checked when a piece of the response arrives."""

    def __init__(self, client: httpx.Client, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    def run(self, conversation: Conversation[Result]) -> Result:
        try:
            step = next(conversation)
            while True:
                try:
                    response = self._do(step)
                except (httpx.HTTPError, TimeoutError) as error:
                    step = conversation.throw(error)
                else:
                    step = conversation.send(response)
        except StopIteration as end:
            result: Result = end.value
            return result

    def _do(self, step: Step) -> httpx.Response | None:
        if isinstance(step, Wait):
            self._clock.sleep(step.seconds)
            return None
        end = self._clock.now() + step.seconds
        response = self._client.send(request_of(self._client, step), stream=True)
        if step.streamed and response.is_success:
            return response
        try:
            return self._read(response, end)
        finally:
            response.close()

    def _read(self, response: httpx.Response, end: float) -> httpx.Response:
        content = bytearray()
        for chunk in response.iter_bytes():
            content += chunk
            if self._clock.now() >= end:
                raise TimeoutError
        headers = response.headers.copy()
        headers.pop("content-encoding", None)  # it is decoded
        return httpx.Response(response.status_code, headers=headers, content=bytes(content))


class AsyncDriver:
    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def run(self, conversation: Conversation[Result]) -> Result:
        try:
            step = next(conversation)
            while True:
                try:
                    response = await self._do(step)
                except (httpx.HTTPError, TimeoutError) as error:
                    step = conversation.throw(error)
                else:
                    step = conversation.send(response)
        except StopIteration as end:
            result: Result = end.value
            return result

    async def _do(self, step: Step) -> httpx.Response | None:
        if isinstance(step, Wait):
            await asyncio.sleep(step.seconds)
            return None
        async with asyncio.timeout(None if step.seconds == math.inf else step.seconds):
            response = await self._client.send(request_of(self._client, step), stream=True)
            if step.streamed and response.is_success:
                return response
            try:
                await response.aread()
            finally:
                await response.aclose()
            return response
