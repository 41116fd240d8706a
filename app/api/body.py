"""JSON bodies: read with their size checked while they come in, and written."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from pydantic_core import from_json, to_json

from app.errors import InvalidRequest, MalformedRequest, ServiceError


class BodyTooLarge(ServiceError):
    def __init__(self, limit: int) -> None:
        super().__init__(f"the request body exceeds the limit of {limit} bytes")
        self.field = "body"
        self.limit = limit


class UnsupportedMedia(ServiceError):
    """A body in another form than plain JSON."""


async def read_json(request: Request, max_bytes: int) -> dict[str, Any]:
    check_media(request)
    raw = await read_bytes(request, max_bytes)
    try:
        body = from_json(raw, allow_inf_nan=False)
    except ValueError as error:
        raise MalformedRequest(f"the body is not valid JSON: {error}", field="body") from error
    if not isinstance(body, dict):
        raise InvalidRequest("the body must be a JSON object", field="body")
    return body


def check_media(request: Request) -> None:
    media = request.headers.get("content-type", "").partition(";")[0].strip()
    if not media:  # a page of another site may send it so, and asks nobody before
        raise UnsupportedMedia("send the body as application/json: no Content-Type says what it is")
    if media.lower() != "application/json" and not media.lower().endswith("+json"):
        raise UnsupportedMedia(f"send the body as application/json, not {media[:80]}")
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise UnsupportedMedia(f"send the body uncompressed, not as {encoding[:80]}")


async def read_bytes(request: Request, max_bytes: int) -> bytes:
    if int(request.headers.get("content-length") or 0) > max_bytes:
        raise BodyTooLarge(max_bytes)
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > max_bytes:
            raise BodyTooLarge(max_bytes)
    return bytes(raw)


def write_json(body: Any) -> bytes:
    """What overflows in an echoed document, as 1e999 does, is null: JSON has no word for it."""
    return to_json(body, inf_nan_mode="null")
