"""What a language model streams, cut anywhere and changed anyhow.

The client ends, in a result or in UpstreamFailed and nothing else. Of a stream that is only cut it
passes on a beginning of the true text, and takes it for whole only after its end was announced.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from app.errors import UpstreamFailed
from app.llm import Completion
from app.llm.client import Client
from app.llm.formats.anthropic import Anthropic
from app.llm.formats.format import Format
from app.llm.formats.openai import OpenAI
from tests.llm.asking import KEY, OPTIONS, PROMPT
from tests.reliability.fuzz.mutating import mutated

MAX_SECONDS = 5.0  # for a stream of two kilobytes
PROGRESS = 20_000
WORDS = ("Books ", "are lent\n", "for “four” ", "weeks \u2028[1].", " 本は四週間。")
TEXT = "".join(WORDS)
PIECES = (
    b"\n",
    b"\r\n\r\n",
    b"data:",
    b"data: [DONE]\n\n",
    b'data: {"error": {"message": "overloaded"}}\n\n',
    b"data: null\n\n",
    b"data: []\n\n",
    b'data: {"choices": [null]}\n\n',
    b'data: {"choices": {"a": 1}}\n\n',
    b'data: {"choices": [{"delta": 7}]}\n\n',
    b'data: {"choices": [{"delta": {"content": ["x"]}}]}\n\n',
    b'data: {"choices": [{"delta": {"content": "\\ud800"}}]}\n\n',
    b'data: {"type": "content_block_delta"}\n\n',
    b'data: {"type": "message_delta", "delta": null}\n\n',
    b'{"usage": {"prompt_tokens": 1e999}}',
    b'{"usage": {"prompt_tokens": -5, "completion_tokens": "x"}}',
    b"[" * 500,
    b"9" * 5000,
    b"\xff\xfe\0",
)


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def openai_stream() -> bytes:
    events: list[dict[str, Any]] = [{"choices": [{"delta": {"content": word}}]} for word in WORDS]
    events.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    events.append({"choices": [], "usage": {"prompt_tokens": 90, "completion_tokens": 10}})
    return b": hello\n\n" + b"".join(map(event, events)) + b"data: [DONE]\n\n"


def anthropic_stream() -> bytes:
    deltas = [
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": word}}
        for word in WORDS
    ]
    usage = {"output_tokens": 3}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 85}}}
    events = [start, {"type": "ping"}, *deltas, end, {"type": "message_stop"}]
    return b"".join(b"event: x\r\n" + event(data) for data in events)


@dataclass(frozen=True)
class Spoken:
    """A format, its true stream, and what announces the end in it."""

    format: Format
    stream: bytes
    ends: bytes


FORMATS: Mapping[str, Spoken] = {
    "openai": Spoken(OpenAI(newest=False), openai_stream(), b'"finish_reason": "stop"}]}'),
    "anthropic": Spoken(Anthropic(), anthropic_stream(), b'{"type": "message_stop"}'),
}


class Pieces(httpx.AsyncByteStream):
    def __init__(self, raw: bytes, chance: random.Random) -> None:
        self._raw = raw
        self._chance = chance

    async def __aiter__(self) -> AsyncIterator[bytes]:
        start = 0
        while start < len(self._raw):
            end = start + self._chance.choice((1, 7, 60, 4096))
            yield self._raw[start:end]
            start = end
        if self._chance.random() < 0.5:
            raise httpx.RemoteProtocolError("the connection was reset")


@dataclass
class Outcome:
    seed: int
    ends: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        ends = ", ".join(f"{end}: {count}" for end, count in sorted(self.ends.items()))
        return (
            f"fuzz answers of models: seed {self.seed}, {self.ends.total()} streams in "
            f"{self.seconds:.0f} s, {ends}; {len(self.problems)} problems"
        )


async def listened(
    raw: bytes, spoken: Format, chance: random.Random
) -> tuple[str, Completion | None]:
    """The text, and how it ended: None where the client says that it failed."""

    def answer(_: httpx.Request) -> httpx.Response:
        headers = {"content-type": "text/event-stream"}
        return httpx.Response(200, headers=headers, stream=Pieces(raw, chance))

    http = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    pieces: list[str] = []
    async with http:
        client = Client("m", spoken, "http://model/v1", "model-1", KEY, http, OPTIONS)
        try:
            ended = await client.complete(PROMPT, pieces.append, stream=True)
        except UpstreamFailed:
            return "".join(pieces), None
    return "".join(pieces), ended


def problem_of(cut: bytes, spoken: Spoken, text: str, ended: Completion | None) -> str:
    """Of a stream that was only cut."""
    if not TEXT.startswith(text):
        return f"{text!r} is no beginning of the text"
    if ended is not None and text != TEXT:
        return f"{text!r} was taken for the whole text"
    if ended is not None and spoken.ends not in cut:
        return "an end was not announced, and none was missed"
    if ended is None and spoken.ends + b"\n\n" in cut:
        return "an end was announced, and missed"
    return ""


def cases(chance: random.Random, count: int) -> Iterator[tuple[str, bytes, bool]]:
    """Each cut once, then changes; True: only cut."""
    for name, spoken in FORMATS.items():
        for length in range(len(spoken.stream) + 1):
            yield name, spoken.stream[:length], True
    for _ in range(count):
        name = chance.choice(tuple(FORMATS))
        yield name, mutated(FORMATS[name].stream, chance, PIECES), False


async def fuzz_llm_streams(
    seed: int, count: int, show: Callable[[str], None] = lambda line: None
) -> Outcome:
    chance, outcome, started = random.Random(seed), Outcome(seed), time.monotonic()
    for name, raw, only_cut in cases(chance, count):
        spoken = FORMATS[name]
        try:
            async with asyncio.timeout(MAX_SECONDS):
                text, ended = await listened(raw, spoken.format, chance)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is reported)
            outcome.problems.append(f"{name}: {type(error).__name__}: {error}; stream {raw!r}")
            continue
        outcome.ends["failed" if ended is None else ended.finish] += 1
        if only_cut and (problem := problem_of(raw, spoken, text, ended)):
            outcome.problems.append(f"{name}, {len(raw)} bytes: {problem}")
        if outcome.ends.total() % PROGRESS == 0:
            show(f"{outcome.ends.total()} answers of models, {len(outcome.problems)} problems")
    outcome.seconds = time.monotonic() - started
    return outcome
