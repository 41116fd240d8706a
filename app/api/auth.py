"""Optional API keys."""

from __future__ import annotations

import hmac
from base64 import b64decode
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from app.api.context import context_of
from app.api.wiring import wiring_of
from app.errors import ServiceError

bearer = HTTPBearer(auto_error=False, description="One of the configured API keys")
header = APIKeyHeader(
    name="X-API-Key", auto_error=False, description="One of the configured API keys, in a header"
)


class Unauthorized(ServiceError):
    """No API key, or an unknown key."""


class Disabled(ServiceError):
    """An operation that a setting has to allow first."""


class BadKeys(ValueError):
    """The configured keys cannot be used."""


def read_keys(keys: Sequence[SecretStr], file: Path | None) -> tuple[bytes, ...]:
    named = {f"api_keys: key {n}": key.get_secret_value() for n, key in enumerate(keys, 1)}
    if file is not None:
        named |= read_key_file(file)
    return tuple(encoded(name, key) for name, key in named.items())


def read_key(key: SecretStr | None, name: str) -> bytes | None:
    return None if key is None else encoded(f"{name}: the key", key.get_secret_value())


def read_key_file(file: Path) -> dict[str, str]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadKeys(f"api_keys_file {file} cannot be read") from error
    named = {
        f"api_keys_file {file}: line {number}": line.strip()
        for number, line in enumerate(lines, 1)
        if line.strip() and not line.startswith("#")
    }
    if not named:
        raise BadKeys(f"api_keys_file {file} holds no key: the service would be open")
    return named


def encoded(name: str, key: str) -> bytes:
    """Encode a key. Only ASCII is allowed: clients differ in how they encode other characters."""
    if not (key.isascii() and key.isprintable()):
        raise BadKeys(f"{name} holds characters that a header cannot carry; use printable ASCII")
    return key.encode()


def is_valid(key: str, keys: Sequence[bytes]) -> bool:
    """Every key is compared, each in constant time, so that timing reveals nothing."""
    matches = [hmac.compare_digest(key.encode(), valid) for valid in keys]
    return any(matches)


def basic_password(authorization: str) -> str | None:
    """The key of callers that can only be given a URL: `http://any:KEY@host`."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return b64decode(encoded, validate=True).decode().partition(":")[2] or None
    except ValueError:
        return None


async def sent_key(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    key: Annotated[str | None, Depends(header)],
) -> str | None:
    if credentials:
        return credentials.credentials
    return key or basic_password(request.headers.get("authorization", ""))


DepSentKey = Annotated[str | None, Depends(sent_key)]


async def require_key(request: Request, key: DepSentKey) -> None:
    exposure = wiring_of(request.app).exposure
    if exposure.keys and not (key and is_valid(key, exposure.keys)):
        raise Unauthorized("an API key is needed: send it as `Authorization: Bearer KEY`")
    if key and exposure.callers_apart:
        context_of(request).caller = blake2b(key.encode(), digest_size=16).hexdigest()


def caller_of(request: Request) -> str:
    """The caller for whom scores and answers are cached separately; empty if all share them."""
    return context_of(request).caller


async def require_metrics_key(request: Request, key: DepSentKey) -> None:
    """`/metrics` has a separate key: its readers need no access to the API, and vice versa."""
    expected = wiring_of(request.app).exposure.metrics_key
    if expected is not None and not (key and is_valid(key, [expected])):
        raise Unauthorized("the metrics key is needed: send it as `Authorization: Bearer KEY`")


async def require_admin_key(request: Request, key: DepSentKey) -> None:
    """It has no default: whoever reaches the port could end the service."""
    expected = wiring_of(request.app).exposure.admin_key
    if expected is None:
        raise Disabled("this operation is disabled: RERANKD_ADMIN_KEY is not set")
    if not (key and is_valid(key, [expected])):
        raise Unauthorized("the admin key is needed: send it as `Authorization: Bearer KEY`")
