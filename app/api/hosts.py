"""Refuses requests for hosts that the settings do not allow, and of pages of other sites.

It prevents DNS rebinding: the domain of a malicious page resolves to this address, so the browser
treats requests to this service as requests to that site, but sends its name in `Host`.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.exposure import WrongHost, WrongOrigin
from app.api.problems import on_service_error
from app.api.wiring import wiring_of

# These show only the state, and load balancers request them by IP address.
PROBES = frozenset(
    {"/healthz", "/readyz", "/health", "/ping", "/v1/health/live", "/v1/health/ready"}
)


class AllowedHosts:
    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self._app = app
        self._hosts = HostNames(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES or self._allows(scope):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        refusal = WrongHost("the Host header names none of the allowed hosts (allowed_hosts)")
        await on_service_error(request, refusal)(scope, receive, send)

    def _allows(self, scope: Scope) -> bool:
        return without_port(Request(scope).headers.get("host", "")) in self._hosts


class HostNames:
    def __init__(self, hosts: Sequence[str]) -> None:
        self._names = frozenset(host.lower() for host in hosts if not host.startswith("*."))
        self._endings = tuple(host[1:].lower() for host in hosts if host.startswith("*."))

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._names or name.lower().endswith(self._endings)


async def require_own_origin(request: Request) -> None:
    """Browsers send `Origin` with every POST of a page, so this stops DNS rebinding without a list
    of hosts. Other clients send none."""
    origin = request.headers.get("origin")
    exposure = wiring_of(request.app).exposure
    if origin is None or origin in exposure.cors_origins:
        return
    host = host_of(origin)
    if not (is_loopback(host) or host in HostNames(exposure.allowed_hosts)):
        raise WrongOrigin(
            "pages of the site in the Origin header may not call this path (cors_origins)"
        )


def host_of(origin: str) -> str:
    try:
        return urlsplit(origin).hostname or ""
    except ValueError:
        return ""


def is_loopback(host: str) -> bool:
    """A page of this machine; a name that only resolves to it does not count."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def without_port(host: str) -> str:
    """`[::1]:8000` becomes `[::1]`."""
    name, _, port = host.rpartition(":")
    return name if name and port.isdigit() and (":" not in name or name.endswith("]")) else host
