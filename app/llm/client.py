"""One language model over HTTP, in whichever format it speaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr

from app.errors import UpstreamFailed, UpstreamTimeout
from app.llm import Completion, OnText, Prompt
from app.llm.formats.format import Format
from app.llm.reading import StreamReader, junk_refused, read_whole
from app.upstream.reading import read_pieces
from app.upstream.retry import RetryPolicy, call

MIN_BYTES = 8_388_608
# An event with one token takes 200 to 350 bytes.
BYTES_PER_TOKEN = 1_024
MIN_CHARS = 65_536
CHARS_PER_TOKEN = 32
# As httpx names it to those who trace a request.
SENT = "http11.send_request_body.complete"


@dataclass(frozen=True, slots=True)
class LLMOptions:
    """How every model is called. Times in seconds."""

    max_tokens: int
    temperature: float | None
    attempts: int
    first_token: float
    total: float

    @property
    def max_chars(self) -> int:
        """Of an answer. A token has four on average; a service that sends more keeps no limit."""
        return max(MIN_CHARS, CHARS_PER_TOKEN * self.max_tokens)

    @property
    def max_bytes(self) -> int:
        """Unpacked, with all that is around the words of a stream."""
        return max(MIN_BYTES, BYTES_PER_TOKEN * self.max_tokens)


class Client:
    def __init__(
        self,
        name: str,
        format_: Format,
        url: str,
        model: str,
        key: SecretStr,
        http: httpx.AsyncClient,
        asking: LLMOptions,
    ) -> None:
        self.name = name
        self._format = format_
        self._url = url.rstrip("/") + format_.path
        self._model = model
        self._headers = format_.headers(key.get_secret_value())
        self._http = http
        self._asking = asking

    async def close(self) -> None:
        await self._http.aclose()

    async def complete(
        self,
        prompt: Prompt,
        on_text: OnText,
        *,
        stream: bool,
        taken: Callable[[bool], None] = lambda yes: None,
    ) -> Completion:
        started = asyncio.get_running_loop().time()
        due = ends = started + self._asking.total
        if stream:
            due = min(ends, started + self._asking.first_token)
        with self._network_reported():
            async with asyncio.timeout_at(due):
                with junk_refused(self.name):
                    response = await self._open(prompt, stream, taken)
            try:
                hear = self._bounded(on_text)
                if stream:
                    return await self._read_stream(response, hear, due, ends)
                return await self._read_whole(response, hear, ends)
            finally:
                await response.aclose()

    async def _open(
        self, prompt: Prompt, stream: bool, taken: Callable[[bool], None]
    ) -> httpx.Response:
        asking = self._asking
        body = self._format.body(
            prompt,
            self._model,
            max_tokens=asking.max_tokens,
            temperature=asking.temperature,
            stream=stream,
        )

        async def trace(event: str, _: Any) -> None:
            if event == SENT:
                taken(True)

        async def attempt() -> httpx.Response:
            request = self._http.build_request(
                "POST", self._url, json=body, headers=self._headers, extensions={"trace": trace}
            )
            response = await self._http.send(request, stream=True)
            if response.is_success:
                return response
            taken(False)
            await response.aclose()
            raise httpx.HTTPStatusError("", request=request, response=response)

        policy = RetryPolicy(asking.attempts, max_hint=asking.first_token)
        return await call(self.name, attempt, policy)

    def _read_bytes(self, response: httpx.Response) -> AsyncGenerator[bytes]:
        return read_pieces(self.name, response, self._asking.max_bytes)

    async def _read_whole(
        self, response: httpx.Response, on_text: OnText, ends: float
    ) -> Completion:
        raw = bytearray()
        async with asyncio.timeout_at(ends), aclosing(self._read_bytes(response)) as pieces:
            async for piece in pieces:
                raw += piece
        text, completion = read_whole(self.name, self._format, bytes(raw))
        on_text(text)
        return completion

    async def _read_stream(
        self, response: httpx.Response, on_text: OnText, due: float, ends: float
    ) -> Completion:
        """The limit `due` is for the first word, `ends` for all."""
        reader = StreamReader(self.name, self._format.reader(), on_text)
        try:
            async with (
                asyncio.timeout_at(due) as limit,
                aclosing(self._read_bytes(response)) as pieces,
            ):
                async for piece in pieces:
                    reader.feed(piece)
                    if reader.done:
                        return reader.completion
                    if reader.began:
                        limit.reschedule(ends)
            reader.end()
        except httpx.HTTPError:
            if not reader.whole:
                raise
        return reader.completion

    def _bounded(self, on_text: OnText) -> OnText:
        """Fails once the service has sent more characters than an answer may have."""
        left = self._asking.max_chars

        def hear(text: str) -> None:
            nonlocal left
            left -= len(text)
            if left < 0:
                raise UpstreamFailed(f"{self.name} sent too much", upstream=self.name)
            on_text(text)

        return hear

    @contextmanager
    def _network_reported(self) -> Iterator[None]:
        """Every error of the network becomes UpstreamTimeout or UpstreamFailed."""
        name = self.name
        try:
            yield
        except (TimeoutError, httpx.TimeoutException) as error:
            raise UpstreamTimeout(f"{name} did not answer in time", upstream=name) from error
        except httpx.HTTPError as error:
            raise UpstreamFailed(f"{name} broke off", upstream=name) from error
