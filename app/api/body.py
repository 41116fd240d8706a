"""Reads JSON bodies, with limits on their size, and writes them.

All requests share the event loop, so large bodies are processed in steps, and other requests run
between the steps: docs/decisions/0013.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fastapi import Request
from pydantic_core import from_json, to_json

from app.api.context import context_of
from app.api.limits import RequestLimits
from app.api.structure import count_values
from app.errors import InvalidRequest, MalformedRequest, ServiceError
from app.event_loop import pause

# Parsing or writing a body of this size takes at least a millisecond.
LARGE_BYTES = 262_144
MAX_UNBROKEN_BYTES = 1_048_576
# Some editors and shells on Windows write it; RFC 8259 allows to ignore it.
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class BodyTooLarge(ServiceError):
    def __init__(self, message: str, limit: int) -> None:
        super().__init__(message)
        self.field = "body"
        self.limit = limit


class UnsupportedMedia(ServiceError):
    """The body is not uncompressed JSON."""


async def read_raw(request: Request, limits: RequestLimits) -> bytearray:
    """The body, whose size and number of values are within the limits."""
    check_media(request)
    raw = await read_bytes(request, limits.body_bytes)
    values, most = await count_values(raw, limits.json_values), limits.json_values
    if values > most:
        raise BodyTooLarge(f"the request body holds more than {most} JSON values", most)
    context = context_of(request)
    if context.hold is not None:
        context.hold.cover_values(values)
    context.body_bytes = len(raw)
    return raw


async def read_json(request: Request, limits: RequestLimits) -> dict[str, Any]:
    raw = await read_raw(request, limits)
    if raw.startswith(BYTE_ORDER_MARK):
        del raw[: len(BYTE_ORDER_MARK)]
    if not raw:
        raise MalformedRequest("the body is empty", field="body")
    try:
        # Texts of callers are not kept: by default, short ones would stay in a cache.
        body = from_json(raw, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        raise MalformedRequest(f"the body is not JSON in UTF-8: {error}", field="body") from error
    if not isinstance(body, dict):
        raise InvalidRequest("the body must be a JSON object", field="body")
    del raw
    await step(request)
    return body


def check_media(request: Request) -> None:
    media = request.headers.get("content-type", "").partition(";")[0].strip()
    if not media:  # a page of another site may send this without a CORS preflight
        raise UnsupportedMedia("send the body as application/json; the request has no Content-Type")
    if media.lower() != "application/json" and not media.lower().endswith("+json"):
        raise UnsupportedMedia(f"send the body as application/json, not {media[:80]}")
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise UnsupportedMedia(f"send the body uncompressed, not as {encoding[:80]}")


async def read_bytes(request: Request, max_bytes: int) -> bytearray:
    refuse_above(max_bytes, int(request.headers.get("content-length") or 0))
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        refuse_above(max_bytes, len(raw))
    return raw


def refuse_above(max_bytes: int, count: int) -> None:
    if count > max_bytes:
        message = f"the request body exceeds the limit of {max_bytes} bytes"
        raise BodyTooLarge(message, max_bytes)


def is_large(request: Request) -> bool:
    """Whether the request body was large; the parsed body and the answer then are large too."""
    return context_of(request).body_bytes > LARGE_BYTES


async def step(request: Request) -> None:
    """Between two steps of the work on a large body, let other requests run."""
    if is_large(request):
        await pause()


def write_json(body: Any) -> bytes:
    """Write JSON. An infinite number in an echoed document (1e999) becomes null."""
    return to_json(body, inf_nan_mode="null")


async def write_answer(request: Request, body: Any) -> bytes:
    """Write JSON, with pauses if the request was large."""
    if not is_large(request):
        return write_json(body)
    written, unbroken = [], 0
    for piece in pieces(body):
        written.append(piece)
        unbroken += len(piece)
        if unbroken > MAX_UNBROKEN_BYTES:
            unbroken = 0
            await pause()
    return b"".join(written)


def pieces(body: Any) -> Iterator[bytes]:
    """JSON in pieces: one per key of an object and one per item of a list, to one level."""
    if isinstance(body, Mapping) and body:
        for index, (name, value) in enumerate(body.items()):
            yield (b"," if index else b"{") + write_json(name) + b":"
            yield from items(value) if isinstance(value, list) else (write_json(value),)
        yield b"}"
    elif isinstance(body, list):
        yield from items(body)
    else:
        yield write_json(body)


def items(values: Iterable[Any]) -> Iterator[bytes]:
    separator = b"["
    for value in values:
        yield separator
        yield write_json(value)
        separator = b","
    yield b"[]" if separator == b"[" else b"]"
