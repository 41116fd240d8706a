"""Access to the API: keys, allowed host names, CORS origins, and which pages are shown."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from app.errors import ServiceError


class WrongHost(ServiceError):
    """The Host header names none of the allowed hosts."""


class WrongOrigin(ServiceError):
    """The Origin header names a site whose pages may not call the service."""


class NotInstalled(ServiceError):
    """The path needs a package of an extra."""


@dataclass(frozen=True)
class Exposure:
    keys: tuple[bytes, ...] = ()  # empty: no key is required
    metrics_key: bytes | None = None  # None: `/metrics` requires no key
    admin_key: bytes | None = None  # None: `/drain` is disabled
    allowed_hosts: tuple[str, ...] = ()  # empty: all
    cors_origins: tuple[str, ...] = ()
    docs: bool = True
    ui: bool = True
    fallback_on_request: bool = False  # callers may choose the fallback
    share_cache: bool = False  # callers with different keys share cached scores and answers

    @cached_property
    def callers_apart(self) -> bool:
        """Whether scores and answers are cached separately for each key."""
        return len(set(self.keys)) > 1 and not self.share_cache
