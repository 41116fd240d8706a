"""Responses that a connection sends itself, before or in place of the application."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from http import HTTPStatus
from typing import NamedTuple


class Refusal(NamedTuple):
    status: int
    type: str
    title: str


HEADER_TOO_LARGE = Refusal(431, "header_too_large", "The request line and headers are too large")
REQUEST_TIMEOUT = Refusal(408, "request_timeout", "The request did not arrive in time")
TOO_MANY_CONNECTIONS = Refusal(503, "too_many_connections", "All connections are busy")
MALFORMED_HTTP = Refusal(400, "malformed_http", "The bytes are not an HTTP/1.1 request")
DRAINING = Refusal(503, "draining", "The service is shutting down")

REFUSALS = (HEADER_TOO_LARGE, REQUEST_TIMEOUT, TOO_MANY_CONNECTIONS, MALFORMED_HTTP, DRAINING)


def write_refusal(
    refusal: Refusal, detail: str, default_headers: Iterable[tuple[bytes, bytes]] = ()
) -> bytes:
    """A whole response, in the same format as the problems of the application."""
    request_id = uuid.uuid4().hex
    problem = {
        **refusal._asdict(),
        "detail": detail,
        "message": detail,
        "request_id": request_id,
    }
    body = json.dumps(problem, separators=(",", ":")).encode()
    lines = [
        f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}".encode(),
        *(name + b": " + value for name, value in default_headers),
        b"content-type: application/problem+json",
        f"content-length: {len(body)}".encode(),
        f"x-request-id: {request_id}".encode(),
        b"connection: close",
    ]
    if refusal.status == 503:
        lines.append(b"retry-after: 1")
    return b"\r\n".join([*lines, b"", body])
