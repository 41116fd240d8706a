"""Bytes that are not HTTP/1.1, or could be read in two ways, end the connection."""

from __future__ import annotations

import pytest

from tests.server.wire import App, House, Wire, exchange, serving
from tests.virtual_time import in_virtual_time

NEXT = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
HEADS = {
    "no request line": b"\x00\x01\x02\x03",
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "an answer": b"HTTP/1.1 200 OK\r\n\r\n",
    "an unknown method": b"GRAB / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a method in small letters": b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a space before the method": b" GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "no version": b"GET /\r\nHost: a\r\n\r\n",
    "version 3.7": b"GET / HTTP/3.7\r\nHost: a\r\n\r\n",
    "another protocol": b"GET / RTSX/1.1\r\nHost: a\r\n\r\n",
    "HTTP/2 by prior knowledge": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a space in the URL": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "NUL in the URL": b"GET /a\x00b HTTP/1.1\r\nHost: a\r\n\r\n",
    "no URL": b"GET  HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT": b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a bare line feed after the request line": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    "a bare line feed after a header": b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
    "a bare line feed at the end of the head": b"GET / HTTP/1.1\r\nHost: a\r\n\n",
    "a bare carriage return in a header": b"GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n",
    "a header without colon": b"GET / HTTP/1.1\r\nHost\r\n\r\n",
    "a header without name": b"GET / HTTP/1.1\r\n: a\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "a space in a name": b"GET / HTTP/1.1\r\nHo st: a\r\n\r\n",
    "NUL in a value": b"GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
    "a header that begins folded": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
}
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
LENGTHS = {
    "two lengths": b"Content-Length: 3\r\nContent-Length: 5\r\n\r\nabc",
    "the same length twice": b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "a list of lengths": b"Content-Length: 3, 3\r\n\r\nabc",
    "a negative length": b"Content-Length: -1\r\n\r\n",
    "a signed length": b"Content-Length: +3\r\n\r\nabc",
    "a length in hexadecimal": b"Content-Length: 0x3\r\n\r\nabc",
    "no length in the field": b"Content-Length: \r\n\r\nabc",
    "a length of 30 digits": b"Content-Length: " + b"9" * 30 + b"\r\n\r\nabc",
    "length, then chunked": b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked, then length": b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "chunked is not last": b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "an unknown encoding": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked behind a tab": b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
}
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = {
    "no size": CHUNKED + b"\r\nabc\r\n0\r\n\r\n",
    "a size that is no number": CHUNKED + b"x\r\nabc\r\n0\r\n\r\n",
    "a negative size": CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n",
    "a size with 0x": CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n",
    "a size of 20 digits": CHUNKED + b"f" * 20 + b"\r\nabc\r\n0\r\n\r\n",
    "a bare line feed after the size": CHUNKED + b"3\nabc\r\n0\r\n\r\n",
    "a space after the size": CHUNKED + b"3 \r\nabc\r\n0\r\n\r\n",
    "a chunk that is longer": CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n",
    "a chunk that ends in a line feed": CHUNKED + b"3\r\nabc\n0\r\n\r\n",
    "a line feed in an extension": CHUNKED + b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "a length in the trailer": CHUNKED + b"0\r\nContent-Length: 3\r\n\r\n",
}


def assert_refused(house: House, wire: Wire) -> None:
    assert (wire.status, wire.problem["type"]) == (400, "malformed_http")
    assert b"\r\nconnection: close\r\n" in wire.sent
    assert bytes(wire.sent).count(b"\r\ncontent-length:") == 1
    assert wire.eof
    assert house.reasons == ["malformed_http"]


@pytest.mark.parametrize("piece", [1, 10_000])
@pytest.mark.parametrize("sent", HEADS.values(), ids=HEADS)
@in_virtual_time
async def test_a_malformed_head_is_400_and_reaches_no_application(sent: bytes, piece: int) -> None:
    house = House()
    wire = await house.connect()
    for start in range(0, len(sent + NEXT), piece):
        await wire.send((sent + NEXT)[start : start + piece])
    assert_refused(house, wire)
    assert house.app.scopes == []


@pytest.mark.parametrize("sent", LENGTHS.values(), ids=LENGTHS)
@in_virtual_time
async def test_a_body_of_unclear_length_is_400_and_nothing_is_smuggled(sent: bytes) -> None:
    house = House()
    wire = await house.connect(POST + sent + NEXT)
    assert_refused(house, wire)
    assert [scope["path"] for scope in house.app.scopes if scope["path"] != "/"] == []
    assert house.app.bodies == []


@pytest.mark.parametrize("sent", CHUNKS.values(), ids=CHUNKS)
@in_virtual_time
async def test_malformed_chunks_are_400_and_the_application_gets_no_body(sent: bytes) -> None:
    house = House()
    wire = await house.connect(POST + sent + NEXT)
    assert_refused(house, wire)
    assert [scope["path"] for scope in house.app.scopes] == ["/"]
    assert (house.app.bodies, house.app.gone) == ([], 1)


@pytest.mark.anyio
async def test_over_a_real_socket_the_caller_gets_the_400_and_the_end() -> None:
    async with serving(App()) as (_, address):
        answer = await exchange(address, HEADS["a TLS hello"] + b"x" * 500_000)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
