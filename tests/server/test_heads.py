"""How much a caller can send before there is a request."""

from __future__ import annotations

import pytest

from tests.server.wire import GET, App, House, exchange, post, serving
from tests.virtual_time import in_virtual_time

CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def get_of(size: int) -> bytes:
    """A request whose head has exactly this many bytes."""
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
    return head + b"x" * (size - len(head) - 4) + b"\r\n\r\n"


@pytest.mark.parametrize("piece", [1, 7, 1000, 1024, 100_000])
@in_virtual_time
async def test_a_head_of_exactly_the_limit_is_served_and_one_byte_more_is_431(piece: int) -> None:
    for size, status in ((1024, 200), (1025, 431)):
        house = House(header_bytes=1024)
        wire, head = await house.connect(), get_of(size)
        for start in range(0, len(head), piece):
            await wire.send(head[start : start + piece])
        assert wire.status == status
        assert len(house.app.scopes) == (status == 200)


@in_virtual_time
async def test_a_head_too_large_is_refused_before_it_ends() -> None:
    house = House(header_bytes=1024)
    wire = await house.connect(get_of(1_000_000)[:1024])
    assert (wire.status, wire.problem["type"]) == (431, "header_too_large")
    assert "1024 bytes (max_header_bytes)" in wire.problem["detail"]
    assert b"\r\nconnection: close\r\n" in wire.sent
    assert house.reasons == ["header_too_large"]
    assert wire.eof


@in_virtual_time
async def test_a_url_counts_as_part_of_the_head() -> None:
    house = House(header_bytes=1024)
    wire = await house.connect(b"GET /" + b"a" * 100_000)
    assert wire.status == 431


@in_virtual_time
async def test_the_limit_counts_anew_for_each_request_of_a_connection() -> None:
    house = House(header_bytes=1024)
    wire = await house.connect()
    for _ in range(5):
        await wire.send(get_of(1000))
    assert bytes(wire.sent).count(b"HTTP/1.1 200 OK") == 5


@in_virtual_time
async def test_a_hundred_headers_are_served_and_one_more_is_431() -> None:
    for count, status in ((100, 200), (101, 431)):
        house = House()
        fields = b"".join(b"x-%d: y\r\n" % number for number in range(count))
        wire = await house.connect(b"GET / HTTP/1.1\r\n" + fields + b"\r\n")
        assert wire.status == status


@in_virtual_time
async def test_what_follows_a_refusal_is_discarded_up_to_a_bound() -> None:
    house = House(header_bytes=1024, discarded_bytes=5000)
    wire = await house.connect(b"GET /" + b"a" * 2000)
    await wire.send(b"a" * 4000)
    assert not wire.closed
    await wire.send(b"a" * 2000)
    assert (wire.aborted, house.reasons) == (True, ["header_too_large"])


# --- bodies -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rest", "what"),
    [
        (b"1;" + b"e" * 4096, "a chunk extension without end"),
        (b"0\r\n" + b"t" * 4096, "a trailer without end"),
        (b"0\r\n" + b"t: u\r\n" * 700, "trailers without end"),
        (b"0\r\n" + b"t: " + b" " * 4096, "white space without end"),
        (b"0" * 4096, "leading zeros without end"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@in_virtual_time
async def test_framing_that_brings_no_byte_of_the_body_is_bounded(rest: bytes, what: str) -> None:
    house = House(header_bytes=1024)
    wire = await house.connect(CHUNKED)
    await wire.send(rest)
    assert wire.status in {400, 431}, what
    assert house.app.bodies == []
    assert house.app.gone == 1


@in_virtual_time
async def test_trailers_are_read_and_do_not_become_headers() -> None:
    house = House()
    await house.connect(CHUNKED + b"2\r\nab\r\n0\r\nAuthorization: Bearer x\r\n\r\n")
    assert house.app.bodies == [b"ab"]
    assert dict(house.app.scopes[0]["headers"]).keys() == {b"host", b"transfer-encoding"}


@pytest.mark.parametrize("chunk", [1, 3, 5000])
@in_virtual_time
async def test_a_long_body_in_chunks_of_any_size_is_served(chunk: int) -> None:
    house, count = House(header_bytes=1024), 40_000 // chunk
    body = (b"%x\r\n" % chunk + b"b" * chunk + b"\r\n") * count + b"0\r\n\r\n"
    wire = await house.connect(CHUNKED)
    for start in range(0, len(body), 777):
        await wire.send(body[start : start + 777])
    assert wire.status == 200
    assert house.app.bodies == [b"b" * chunk * count]


@in_virtual_time
async def test_a_long_head_leaves_its_body_the_whole_limit_for_framing() -> None:
    house = House(header_bytes=1024)
    head = CHUNKED[:-2] + b"X: " + b"x" * 900 + b"\r\n\r\n"
    wire = await house.connect(head + b"1;" + b"e" * 20)
    await wire.send(b"e" * 900 + b"\r\nb\r\n0\r\n\r\n")
    assert (wire.status, house.app.bodies) == (200, [b"b"])


@in_virtual_time
async def test_many_chunks_behind_a_head_in_one_packet_do_not_count_as_head() -> None:
    house = House(header_bytes=1024)
    wire = await house.connect(CHUNKED + b"1\r\nb\r\n" * 40_000 + b"0\r\n\r\n")
    assert (wire.status, len(house.app.bodies[0])) == (200, 40_000)


# --- another protocol ---------------------------------------------------------------------

H2C = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAA")


@pytest.mark.parametrize("piece", [20, 10_000])
@in_virtual_time
async def test_a_request_that_offers_http2_is_served_with_its_body(piece: int) -> None:
    """As Java's HttpClient sends its first one."""
    house, request = House(), post(b"body", *H2C)
    wire = await house.connect()
    for start in range(0, len(request), piece):
        await wire.send(request[start : start + piece])
    await wire.send(post(b"second"))
    assert house.app.bodies == [b"body", b"second"]
    assert b"upgrade" not in dict(house.app.scopes[0]["headers"])
    assert bytes(wire.sent).count(b"HTTP/1.1 200 OK") == 2


@in_virtual_time
async def test_a_web_socket_is_answered_as_a_plain_request() -> None:
    house = House()
    fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAA"
    wire = await house.connect(f"GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n".encode())
    await wire.send(GET)
    assert bytes(wire.sent).count(b"HTTP/1.1 200 OK") == 2


# --- over real sockets --------------------------------------------------------------------


@pytest.mark.anyio
async def test_the_refusal_reaches_a_caller_that_is_still_sending() -> None:
    async with serving(App(), header_bytes=1024) as (_, address):
        answer = await exchange(address, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 100_000)
    assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
