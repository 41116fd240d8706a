"""Raw bytes on a socket: whatever comes, each answer is HTTP and the server stays there."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from tests.reliability.fuzz.grammar import Grammar

AT_ONCE = 32
PATIENCE_SECONDS = 30.0
QUIET_SECONDS = 0.1
PROGRESS = 20_000
STATUS_LINE = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n")
DOCUMENTED = {200, 400, 401, 404, 405, 408, 413, 415, 422, 429, 431, 500, 501, 503, 504}
PIECES = (
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"/rerank",
    b"/healthz",
    b"/",
    b"%00%2e%2e/",
    b" HTTP/1.1\r\n",
    b" HTTP/1.0\r\n",
    b" HTTP/9.9\r\n",
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b": ",
    b"Host: x\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: -1\r\n",
    b"Content-Length: 99999999\r\n",
    b"Content-Length: 5\r\nContent-Length: 6\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b"Content-Type: application/json\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: keep-alive\r\n",
    b"Connection: upgrade\r\nUpgrade: h2c\r\n",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"ffffffffffffffffff\r\n",
    b"0\r\nTrailer: x\r\n\r\n",
    b"X: " + b"a" * 9000 + b"\r\n",
    b"\0",
    b"\xff\xfe",
    b" " * 70,
    b"a" * 3000,
)


@dataclass
class Outcome:
    seed: int
    count: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    closed: int = 0  # without an answer
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        statuses = ", ".join(
            f"{status}: {count}" for status, count in sorted(self.statuses.items())
        )
        return (
            f"fuzz streams: seed {self.seed}, {self.count} streams in {self.seconds:.0f} s, "
            f"answers {statuses}, {self.closed} closed or left without one; "
            f"{len(self.problems)} problems"
        )


def make_stream(chance: random.Random, grammar: Grammar) -> bytes:
    """Pieces of HTTP in any order, or a right request with a few bytes changed."""
    if chance.random() < 0.5:
        return b"".join(chance.choices(PIECES, k=chance.randint(1, 12)))
    case = grammar.case()
    head = f"POST {case.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    stream = head.encode() + b"Content-Length: %d\r\n\r\n" % len(case.body) + case.body
    for _ in range(chance.choice((0, 1, 1, 2, 5))):
        offset = chance.randrange(len(stream))
        stream = stream[:offset] + chance.choice((b"", chance.randbytes(2))) + stream[offset + 1 :]
    return stream * chance.choice((1, 1, 1, 2))


async def fuzz_streams(
    port: int, seed: int, count: int, show: Callable[[str], None] = lambda line: None
) -> Outcome:
    """Half of the streams end with their sender's end: then the server has to end too. The others
    leave the connection open and wait for an answer, which an unfinished request does not get."""
    chance, grammar, outcome = random.Random(seed), Grammar(seed), Outcome(seed)
    started = time.monotonic()

    async def send_some(share: int) -> None:
        for number in range(share):
            stream = make_stream(chance, grammar)
            await send_one(port, stream, outcome, chance.choice((1, 1, 2, 4)), ends=number % 2 == 0)
            outcome.count += 1
            if outcome.count % PROGRESS == 0:
                show(f"{outcome.count} streams, {len(outcome.problems)} problems")

    await asyncio.gather(*(send_some(-(-count // AT_ONCE)) for _ in range(AT_ONCE)))
    outcome.seconds = time.monotonic() - started
    return outcome


async def send_one(port: int, stream: bytes, outcome: Outcome, cuts: int, *, ends: bool) -> None:
    answer = b""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                with suppress(ConnectionError):
                    size = -(-len(stream) // cuts)
                    for start in range(0, len(stream), size):
                        writer.write(stream[start : start + size])
                        await writer.drain()
                    if ends:
                        writer.write_eof()
                with suppress(ConnectionError):
                    answer = await (reader.read() if ends else first_answer(reader))
            finally:
                writer.transport.abort()
    except (TimeoutError, OSError) as error:
        outcome.problems.append(f"{type(error).__name__}: {stream[:500]!r}")
        return
    judge(stream, answer, outcome)


async def first_answer(reader: asyncio.StreamReader) -> bytes:
    with suppress(TimeoutError):
        async with asyncio.timeout(QUIET_SECONDS):
            return await reader.read(65_536)
    return b""


def judge(stream: bytes, answer: bytes, outcome: Outcome) -> None:
    if not answer:
        outcome.closed += 1
        return
    if STATUS_LINE.match(answer) is None:
        outcome.problems.append(f"an answer that is not HTTP: {answer[:100]!r} to {stream[:300]!r}")
    for match in STATUS_LINE.finditer(answer):
        status = int(match[1])
        if status == 100:
            continue
        outcome.statuses[status] += 1
        if status not in DOCUMENTED or status == 500:
            outcome.problems.append(f"status {status} to {stream[:500]!r}")
