"""Answers of other services, read within a bound on the bytes that they unpack to.

A few kilobytes of gzip can unpack to gigabytes, and httpx unpacks each chunk of the network whole.
Here a chunk is unpacked in small pieces, and reading stops at the first one over the bound.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

import httpx

from app.errors import UpstreamFailed

PIECE_BYTES = 65_536
PACKED_ENCODINGS = frozenset({"gzip", "x-gzip", "deflate"})
# The header of the stream says which of the two it is.
GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
# Sent by each of our clients: httpx accepts whatever the installed libraries can unpack.
ACCEPTED_ENCODINGS = {"Accept-Encoding": "gzip"}


async def fetch(
    name: str, client: httpx.AsyncClient, request: httpx.Request, max_bytes: int
) -> bytes:
    """The body of a good answer; raises HTTPStatusError for any other, whose body is not read."""
    response = await client.send(request, stream=True)
    try:
        response.raise_for_status()
        body = bytearray()
        async for piece in read_pieces(name, response, max_bytes):
            body += piece
        return bytes(body)
    finally:
        await response.aclose()


async def read_pieces(name: str, response: httpx.Response, max_bytes: int) -> AsyncGenerator[bytes]:
    """The unpacked body in pieces. `name` is the service's, for the error."""
    encoding = encoding_of(response)
    if encoding not in {"", "identity", *PACKED_ENCODINGS}:
        raise UpstreamFailed(f"{name} answered in an encoding that we do not read", upstream=name)
    unpack = zlib.decompressobj(GZIP_OR_ZLIB) if encoding in PACKED_ENCODINGS else None
    received = unpacked = 0
    async with aclosing(chunks_of(response)) as chunks:
        async for chunk in chunks:
            received += len(chunk)
            refuse_more(name, received, max_bytes)
            for piece in (chunk,) if unpack is None else pieces_of(name, unpack, chunk):
                unpacked += len(piece)
                refuse_more(name, unpacked, max_bytes)
                yield piece


async def chunks_of(response: httpx.Response) -> AsyncGenerator[bytes]:
    """As they come from the network."""
    if response.is_stream_consumed:
        yield response.content
        return
    async for chunk in response.aiter_raw():
        yield chunk


def encoding_of(response: httpx.Response) -> str:
    """Empty where a transport without a network has read, and unpacked, all of it."""
    if response.is_stream_consumed:
        return ""
    return str(response.headers.get("Content-Encoding", "")).strip().lower()


def pieces_of(name: str, unpack: zlib._Decompress, chunk: bytes) -> Iterator[bytes]:
    """What a chunk unpacks to. What follows the end of the packed stream is left out."""
    try:
        while chunk and not unpack.eof:
            if piece := unpack.decompress(chunk, PIECE_BYTES):
                yield piece
            chunk = unpack.unconsumed_tail
    except zlib.error as error:
        raise UpstreamFailed(f"{name} answered what cannot be unpacked", upstream=name) from error


def refuse_more(name: str, size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise UpstreamFailed(f"{name} answered with more than {max_bytes:,} bytes", upstream=name)
