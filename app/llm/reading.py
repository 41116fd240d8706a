"""From the bytes that a language model sends to the words of its answer. Pure: no network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pydantic_core import from_json

from app.errors import UpstreamFailed
from app.llm import Completion, OnText
from app.llm.formats.format import CompletionStream, Format

DONE = b"[DONE]"


def read_whole(name: str, format_: Format, raw: bytes) -> tuple[str, Completion]:
    with junk_refused(name):
        text, completion = format_.whole(from_json(raw))
        refuse_silence(name, text)
    return text, completion


class StreamReader:
    """Is fed the bytes of one streamed answer, and pushes each text to `on_text`."""

    def __init__(self, name: str, stream: CompletionStream, on_text: OnText) -> None:
        self.began = False
        self._name = name
        self._stream = stream
        self._on_text = on_text
        self._lines = EventLines()

    @property
    def done(self) -> bool:
        return self._stream.done

    @property
    def whole(self) -> bool:
        """All words are there; what may be missing is the usage."""
        return self._stream.completion is not None

    def feed(self, piece: bytes) -> None:
        self._read(self._lines.feed(piece))

    def end(self) -> None:
        """The service has sent everything."""
        self._read(self._lines.end())

    @property
    def completion(self) -> Completion:
        if self._stream.completion is None:
            raise UpstreamFailed(f"{self._name} broke off", upstream=self._name)
        if not self.began:
            refuse_silence(self._name, "")
        return self._stream.completion

    def _read(self, events: Iterator[bytes]) -> None:
        for data in events:
            if text := self._read_event(data):
                self.began = True
                self._on_text(text)
            if self.done:
                return

    def _read_event(self, data: bytes) -> str:
        if data == DONE:
            self._stream.finish()
            return ""
        with junk_refused(self._name):
            try:
                event = from_json(data)
                if not event.get("error"):
                    return self._stream.read(event)
            except ValueError:
                if not self.whole:
                    raise
                self._stream.finish()
                return ""
        raise UpstreamFailed(f"{self._name} broke off with an error", upstream=self._name)


class EventLines:
    """The `data` of each server-sent event. Only line feeds end lines: texts may hold the rest."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, piece: bytes) -> Iterator[bytes]:
        # A long line costs its length, however small its pieces are.
        if b"\n" not in piece:
            self._rest += piece
            return
        *lines, last = (bytes(self._rest) + piece).split(b"\n")
        self._rest = bytearray(last)
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()

    def end(self) -> Iterator[bytes]:
        if self._rest.startswith(b"data:"):
            yield bytes(self._rest[5:]).strip()


def refuse_silence(name: str, text: str) -> None:
    """Models that think may spend all their tokens on it."""
    if not text.strip():
        raise UpstreamFailed(f"{name} gave no words", upstream=name)


@contextmanager
def junk_refused(name: str) -> Iterator[None]:
    """Whatever goes wrong with an answer of another shape becomes one error."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise UpstreamFailed(f"{name} sent what is no answer", upstream=name) from error
