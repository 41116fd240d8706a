"""An answer that arrives as server-sent events, while it is being written."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping

import httpx

from rerankd.answers import Answer, Source, read_answer, read_source
from rerankd.conversation import Deadline, failure_of, stream_error
from rerankd.errors import ConnectionFailed, UnreadableResponse
from rerankd.fields import Fields, fields_of

MEDIA_TYPE = "text/event-stream"
# The longest event is the whole answer with its sources.
MAX_EVENT_BYTES = 67_108_864


class EventReader:
    """Cuts bytes into events, each a name and its data."""

    def __init__(self) -> None:
        self._rest = b""
        self._name = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[tuple[str, str]]:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > MAX_EVENT_BYTES:
            raise UnreadableResponse(f"an event is longer than {MAX_EVENT_BYTES} bytes")
        for line in lines:
            event = self._line(line.removesuffix(b"\r").decode(errors="replace"))
            if event:
                yield event

    def _line(self, line: str) -> tuple[str, str] | None:
        if not line:
            name, data = self._name, "\n".join(self._data)
            self._name, self._data = "", []
            return (name, data) if data else None
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
        return None


class Transcript:
    """What has arrived so far, without input and output."""

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.id = ""
        self.sources: tuple[Source, ...] = ()
        self.answer: Answer | None = None
        self.has_begun = False
        self._headers = headers
        self._events = EventReader()
        if not headers.get("content-type", "").startswith(MEDIA_TYPE):
            raise UnreadableResponse("the response is not a stream of events")

    def take(self, chunk: bytes) -> list[str]:
        """The pieces of text in these bytes."""
        pieces: list[str] = []
        for name, data in self._events.feed(chunk):
            self._take_event(name, fields_of(data), pieces)
        return pieces

    def _take_event(self, name: str, fields: Fields, pieces: list[str]) -> None:
        self.has_begun = True
        match name:
            case "sources":
                self.id = fields.text("id")
                self.sources = fields.items("sources", read_source)
            case "text":
                pieces.append(fields.text("text"))
            case "answer":
                self.answer = read_answer(fields)
                self.id, self.sources = self.answer.id, self.answer.sources
            case "error":
                raise stream_error(fields, self._headers)
            case _:  # later versions may send more
                pass

    def require_answer(self) -> Answer:
        if self.answer is None:
            raise ConnectionFailed("the stream ended before the answer was complete")
        return self.answer


class Received:
    """What both kinds of streams show."""

    def __init__(self, response: httpx.Response, deadline: Deadline) -> None:
        self._response = response
        self._deadline = deadline
        self._transcript = Transcript(response.headers)
        self._pieces: deque[str] = deque()

    @property
    def id(self) -> str:
        """The id of the answer, for `feedback`."""
        return self._transcript.id

    @property
    def sources(self) -> tuple[Source, ...]:
        """The sources, which are there before the first piece of text."""
        return self._transcript.sources

    @property
    def answer(self) -> Answer:
        """The whole answer with its citations, after the last piece of text."""
        return self._transcript.require_answer()

    def _take(self, chunk: bytes) -> None:
        self._pieces.extend(self._transcript.take(chunk))

    @property
    def _is_complete(self) -> bool:
        return self._transcript.answer is not None


class AnswerStream(Received):
    """Iterate over the pieces of text; then `answer` is the whole."""

    def __init__(self, response: httpx.Response, deadline: Deadline) -> None:
        super().__init__(response, deadline)
        self._chunks = response.iter_bytes()

    def begin(self) -> None:
        """Read until the sources are there."""
        while not self._transcript.has_begun and self._receive():
            pass

    def __iter__(self) -> Iterator[str]:
        while True:
            while self._pieces:
                yield self._pieces.popleft()
            if self._is_complete or not self._receive():
                break
        self._transcript.require_answer()

    def _receive(self) -> bool:
        """Read a chunk; False at the end of the stream."""
        if self._deadline.remaining <= 0:
            raise self._deadline.exceeded()
        try:
            chunk = next(self._chunks, None)
        except httpx.HTTPError as error:
            raise failure_of(error, self._deadline) from error
        self._take(chunk or b"")
        return chunk is not None


class AsyncAnswerStream(Received):
    """Iterate over the pieces of text; then `answer` is the whole."""

    def __init__(self, response: httpx.Response, deadline: Deadline) -> None:
        super().__init__(response, deadline)
        self._chunks = response.aiter_bytes()

    async def begin(self) -> None:
        """Read until the sources are there."""
        while not self._transcript.has_begun and await self._receive():
            pass

    async def __aiter__(self) -> AsyncIterator[str]:
        while True:
            while self._pieces:
                yield self._pieces.popleft()
            if self._is_complete or not await self._receive():
                break
        self._transcript.require_answer()

    async def _receive(self) -> bool:
        """Read a chunk; False at the end of the stream."""
        remaining = self._deadline.remaining
        try:
            async with asyncio.timeout(None if remaining == math.inf else max(remaining, 0)):
                chunk = await anext(self._chunks, None)
        except (httpx.HTTPError, TimeoutError) as error:
            raise failure_of(error, self._deadline) from error
        self._take(chunk or b"")
        return chunk is not None
