"""One language model over HTTP, in whichever format it speaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr
from pydantic_core import from_json

from app.errors import UpstreamFailed, UpstreamTimeout
from app.llm import Ended, OnText, Prompt
from app.llm.formats.format import Format, Stream
from app.upstream.reading import read_pieces
from app.upstream.retry import RetryPolicy, call

MIN_BYTES = 8_388_608
BYTES_PER_TOKEN = 1_024  # an event with one token takes 200 to 350
MIN_CHARS = 65_536
CHARS_PER_TOKEN = 32
SENT = "http11.send_request_body.complete"  # as httpx names it to those who trace a request


@dataclass(frozen=True, slots=True)
class Asking:
    """How every model is asked. Times in seconds."""

    max_tokens: int = 1024
    temperature: float | None = 0.1
    attempts: int = 3
    first_token: float = 30.0
    total: float = 60.0

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
        format: Format,  # noqa: A002 (the word for it)
        url: str,
        model: str,
        key: SecretStr,
        http: httpx.AsyncClient,
        asking: Asking,
    ) -> None:
        self.name = name
        self._format = format
        self._url = url.rstrip("/") + format.path
        self._model = model
        self._headers = format.headers(key.get_secret_value())
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
    ) -> Ended:
        now, asking = asyncio.get_running_loop().time, self._asking
        ends, length = now() + asking.total, 0
        due = min(ends, now() + asking.first_token) if stream else ends
        async with self._reported(due):
            response = await self._open(prompt, stream, taken)
        read = self._read_stream if stream else self._read_whole
        try:
            async with aclosing(read(response)) as pieces:
                while True:
                    async with self._reported(due):
                        piece = await anext(pieces)
                    if isinstance(piece, Ended):
                        return piece
                    length += len(piece)
                    if length > asking.max_chars:
                        raise UpstreamFailed(f"{self.name} sent too much", upstream=self.name)
                    on_text(piece)
                    due = ends
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

    async def _read_whole(self, response: httpx.Response) -> AsyncGenerator[str | Ended]:
        raw = bytearray()
        async with aclosing(self._read_bytes(response)) as pieces:
            async for piece in pieces:
                raw += piece
        text, ended = self._format.whole(from_json(bytes(raw)))
        self._refuse_silence(text)
        yield text
        yield ended

    async def _read_stream(self, response: httpx.Response) -> AsyncGenerator[str | Ended]:
        reader, spoken = self._format.reader(), False
        try:
            async with (
                aclosing(self._read_bytes(response)) as pieces,
                aclosing(events(pieces)) as told,
            ):
                async for data in told:
                    if data == b"[DONE]":
                        reader.finish()
                    elif text := self._read_event(reader, data):
                        spoken = True
                        yield text
                    if reader.done:
                        break
        except (httpx.HTTPError, ValueError):
            if reader.ended is None:
                raise  # else the words are whole, and only what they cost was cut off
        if reader.ended is None:
            raise UpstreamFailed(f"{self.name} broke off", upstream=self.name)
        if not spoken:
            self._refuse_silence("")
        yield reader.ended

    def _read_event(self, reader: Stream, data: bytes) -> str:
        event = from_json(data)
        if event.get("error"):
            raise UpstreamFailed(f"{self.name} broke off with an error", upstream=self.name)
        return reader.read(event)

    def _refuse_silence(self, text: str) -> None:
        """Models that think may spend all their tokens on it."""
        if not text.strip():
            raise UpstreamFailed(f"{self.name} gave no words", upstream=self.name)

    @asynccontextmanager
    async def _reported(self, due: float) -> AsyncIterator[None]:
        """Within the time limit, and whatever goes wrong by one name."""
        name = self.name
        try:
            async with asyncio.timeout_at(due):
                yield
        except (TimeoutError, httpx.TimeoutException) as error:
            raise UpstreamTimeout(f"{name} did not answer in time", upstream=name) from error
        except httpx.HTTPError as error:
            raise UpstreamFailed(f"{name} broke off", upstream=name) from error
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise UpstreamFailed(f"{name} sent what is no answer", upstream=name) from error


async def events(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """The `data` of each server-sent event. Only line feeds end lines: texts may hold the rest."""
    rest = bytearray()
    async for piece in pieces:
        if b"\n" not in piece:  # a long line costs its length, however small its pieces are
            rest += piece
            continue
        *lines, last = (bytes(rest) + piece).split(b"\n")
        rest = bytearray(last)
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()
    if rest.startswith(b"data:"):
        yield bytes(rest[5:]).strip()
