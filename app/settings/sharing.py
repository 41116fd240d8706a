"""Settings of what replicas share."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import parse_qsl, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, SecretStr

NETWORK_SCHEMES = ("redis", "rediss")
FORMS = "redis://HOST:PORT/DB, rediss://HOST:PORT/DB (TLS) or unix:///PATH"
TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


def check_shared(url: SecretStr | None) -> SecretStr | None:
    """The text of an error never contains the URL, which may contain a password."""
    if url is None:
        return None
    try:
        parts = urlsplit(url.get_secret_value())
        has_address = parts.port != 0 and bool(parts.hostname)
    except ValueError as error:
        raise ValueError(f"it is not a URL such as {FORMS}") from error
    allowed: tuple[str, ...] = ()
    options = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    if parts.scheme == "unix":
        has_address, allowed = not parts.hostname and len(parts.path) > 1, ("db",)
    elif parts.scheme in NETWORK_SCHEMES:
        allowed = TLS_OPTIONS if parts.scheme == "rediss" else allowed
        if not (parts.path.strip("/") or "0").isdecimal():
            raise ValueError("the path of the URL is not the number of a database")
    else:
        raise ValueError(f"the URL is not like {FORMS}")
    if not has_address or parts.fragment:
        raise ValueError(f"the URL names no server; a URL is like {FORMS}")
    if unknown := [name for name in options if name not in allowed]:
        names = ", ".join(allowed) or "none"
        raise ValueError(f"the URL has the unknown option {unknown[0]}; known: {names}")
    return url


def _none_if_empty(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


class Sharing(BaseModel):
    shared: Annotated[
        SecretStr | None, BeforeValidator(_none_if_empty), AfterValidator(check_shared)
    ] = Field(
        None,
        description="URL of a Redis through which replicas share cached scores, `redis://` or "
        "`rediss://` (TLS); without it, or while it is slow or down, each replica caches alone; "
        "empty: none",
    )
    shared_timeout_ms: float = Field(
        5,
        gt=0,
        le=1000,
        description="Time that a request waits for shared scores at most, in milliseconds",
    )
