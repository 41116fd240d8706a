"""Answers over real sockets that unpack to more than we have memory for, or are odd otherwise."""

from __future__ import annotations

import asyncio
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from app.errors import UpstreamFailed
from app.remote.providers import find_target
from app.remote.reranking import Remote
from app.rerank.query import Document, Query
from app.retrieval.endpoint import Endpoint
from app.upstream.reading import PIECE_BYTES, fetch

pytestmark = pytest.mark.anyio

MIB = 2**20
GZIP, ZLIB = zlib.MAX_WBITS | 16, zlib.MAX_WBITS


def packed(*parts: bytes, window: int = GZIP) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, window)
    return b"".join(packer.compress(part) for part in parts) + packer.flush()


# 100 MiB in 100 KiB.
BOMB = packed(*(b" " * MIB,) * 100)


@asynccontextmanager
async def service(body: bytes, encoding: str = "gzip") -> AsyncIterator[httpx.AsyncClient]:
    """Answers every request with `body`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = head.partition("content-length: ")[2].partition("\r\n")[0]
        await reader.readexactly(int(length or 0))
        headers = f"Content-Encoding: {encoding}\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"HTTP/1.1 200 OK\r\n{headers}Connection: close\r\n\r\n".encode() + body)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, httpx.AsyncClient(base_url=url) as client:
        yield client


async def read(client: httpx.AsyncClient, max_bytes: int = MIB) -> bytes:
    return await fetch("the store", client, client.build_request("GET", "/"), max_bytes)


async def ask_a_store(client: httpx.AsyncClient) -> None:
    await Endpoint("qdrant", client, 20).ask("POST", "points/query", {})


async def ask_a_reranker(client: httpx.AsyncClient) -> None:
    remote = Remote(find_target("http://there"), client, 20)
    await remote.rank(Query("q", [Document("text")]))


@pytest.mark.parametrize("ask", [ask_a_store, ask_a_reranker])
async def test_what_unpacks_to_too_much_is_given_up_before_it_takes_the_memory(
    ask: Callable[[httpx.AsyncClient], Awaitable[None]],
) -> None:
    async with service(BOMB) as client:
        tracemalloc.start()
        try:
            with pytest.raises(UpstreamFailed, match="answered with more than"):
                await ask(client)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 50 * MIB


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("identity", b"x" * 300_000),
        ("", b"x" * 300_000),
        ("gzip", packed(b"x" * 300_000)),
        ("X-GZIP", packed(b"x" * 300_000)),
        ("deflate", packed(b"x" * 300_000, window=ZLIB)),
        ("gzip", packed(b"x" * 300_000) + b"what follows the end"),
    ],
)
async def test_what_is_within_the_bound_is_read_whole(encoding: str, body: bytes) -> None:
    async with service(body, encoding) as client:
        assert await read(client, 350_000) == b"x" * 300_000


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, MIB])
async def test_a_packed_answer_of_any_size_loses_nothing(size: int) -> None:
    text = bytes(range(256)) * (size // 256) + bytes(size % 256)
    async with service(packed(text)) as client:
        assert await read(client) == text


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("identity", b"x" * (MIB + 1)),
        ("gzip", packed(b"x" * (MIB + 1))),
        ("gzip", packed(b"x") + b"and no end" * MIB),
    ],
)
async def test_what_is_over_the_bound_is_refused_with_the_bound(encoding: str, body: bytes) -> None:
    async with service(body, encoding) as client:
        with pytest.raises(UpstreamFailed) as caught:
            await read(client)
    assert str(caught.value) == "the store answered with more than 1,048,576 bytes"


@pytest.mark.parametrize(
    ("encoding", "body", "reason"),
    [
        ("gzip", b"this is not gzip", "what cannot be unpacked"),
        ("br", b"anything", "an encoding that we do not read"),
        ("gzip, gzip", packed(packed(b"x")), "an encoding that we do not read"),
    ],
)
async def test_what_cannot_be_unpacked_is_a_failure_of_the_service(
    encoding: str, body: bytes, reason: str
) -> None:
    async with service(body, encoding) as client:
        with pytest.raises(UpstreamFailed, match=f"the store answered (in )?{reason}"):
            await read(client)


async def test_a_transport_that_has_read_all_is_held_to_the_same_bound() -> None:
    answer = lambda _: httpx.Response(200, content=b"x" * 11)  # noqa: E731
    async with httpx.AsyncClient(
        transport=httpx.MockTransport(answer), base_url="http://there"
    ) as client:
        assert await read(client, 11) == b"x" * 11
        with pytest.raises(UpstreamFailed, match="more than 10 bytes"):
            await read(client, 10)
