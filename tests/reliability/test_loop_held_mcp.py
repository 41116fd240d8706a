"""A message to `/mcp` within the limits holds the event loop no longer than one to other paths."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.api.mcp_routes import MAX_MESSAGE_BYTES
from tests.desk import Desk
from tests.reliability import shapes
from tests.reliability.stub import stub_model
from tests.reliability.test_loop_held import MAX_BUSY_SECONDS, MAX_LATE_SECONDS, listening
from tests.reliability.watchdog import watched

pytestmark = pytest.mark.anyio

META = (
    b'{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
    b'"io.modelcontextprotocol/clientCapabilities":{}}'
)
ACCEPTED = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
HEADERS = {
    "handshake": ACCEPTED,
    "current": ACCEPTED
    | {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "rerank"},
}
KINDS = ("ascii", "escapes", "wide", "quotes", "commas")
ENVELOPE_BYTES = 1_000


def message(documents: list[bytes], more: bytes = b"") -> bytes:
    arguments = b'{"query":"a question","documents":[%b],"return_documents":true%b}' % (
        b",".join(documents),
        more,
    )
    params = b'{"name":"rerank","_meta":%b,"arguments":%b}' % (META, arguments)
    return b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":%b}' % params


def bodies() -> Iterator[tuple[str, bytes, bytes]]:
    """Each with what the answer has to contain."""
    size = MAX_MESSAGE_BYTES - ENVELOPE_BYTES
    for kind in KINDS:
        for count in (shapes.DOCUMENTS, 41):
            documents = shapes.texts(shapes.TEXTS[kind], count, size)
            yield f"{count} documents of {kind}", message(documents), b'"isError":false'
    values = b"[" + b"[]," * (shapes.VALUES // 2 - 50) + b"[]]"
    yield "lists", message([values]), b'"isError":true'
    wrong = [b'{"text":1,"x":2}'] * shapes.DOCUMENTS
    yield "complaints", message(wrong), b'"isError":true'


def post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        connection.request("POST", "/mcp", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("protocol", HEADERS)
async def test_a_message_does_not_hold_the_loop(
    protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.compose.loading.load_soon", lambda *_, **__: (stub_model(), False))
    async with listening(Desk(Path("stub"))) as url:
        # The SDK builds its parsers at the first message, whatever its size.
        await asyncio.to_thread(post, url, message([]), HEADERS[protocol])
        for name, body, contained in bodies():
            send = partial(post, url, body, HEADERS[protocol])
            (status, answer), watch = await watched(send, MAX_LATE_SECONDS)
            print(f"/mcp: {protocol}: {name}: {watch}")
            assert status == 200, answer[:500]
            assert contained in answer, answer[:500]
            assert watch.busy < MAX_BUSY_SECONDS, f"{name}: {watch}"
            assert watch.late < MAX_LATE_SECONDS, f"{name}: {watch}"
