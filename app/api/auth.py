"""Optional API keys."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from app.errors import ServiceError

bearer = HTTPBearer(auto_error=False, description="One of the configured API keys")
header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The same, as a header")


class Unauthorized(ServiceError):
    """No API key, or one that is not known."""


class BadKeyFile(ValueError):
    """The file of API keys cannot be used."""


def read_keys(keys: Sequence[SecretStr], file: Path | None) -> tuple[bytes, ...]:
    found = [key.get_secret_value() for key in keys]
    if file is not None:
        try:
            lines = file.read_text().splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise BadKeyFile(f"api_keys_file {file} cannot be read") from error
        found += [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not found:
            raise BadKeyFile(f"api_keys_file {file} holds no key: the service would be open")
    return tuple(key.encode() for key in found)


def is_known(given: str, keys: Sequence[bytes]) -> bool:
    """Every key is compared, each in constant time, so that timing tells nothing."""
    matches = [hmac.compare_digest(given.encode(), key) for key in keys]
    return any(matches)


async def require_key(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
    key: Annotated[str | None, Depends(header)],
) -> None:
    keys: Sequence[bytes] = request.app.state.keys
    given = credentials.credentials if credentials else key
    if keys and not (given and is_known(given, keys)):
        raise Unauthorized("an API key is needed: send it as `Authorization: Bearer KEY`")
    if given and request.app.state.callers_apart:
        request.scope["caller"] = blake2b(given.encode(), digest_size=16).hexdigest()


def caller_of(request: Request) -> str:
    """Whose scores and answers are kept apart from others'; empty where there is one caller."""
    return str(request.scope.get("caller", ""))
