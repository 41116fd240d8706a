"""Who may reach what: keys, names of the host, origins of browsers, and the page of the schema."""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import ServiceError


class WrongHost(ServiceError):
    """The request is for a host that is not ours."""


@dataclass(frozen=True, slots=True)
class Exposure:
    keys: tuple[bytes, ...] = ()  # none: open
    metrics_key: bytes | None = None  # none: `/metrics` is open
    allowed_hosts: tuple[str, ...] = ()  # none: any
    cors_origins: tuple[str, ...] = ()
    docs: bool = True
