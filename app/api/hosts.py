"""Refuses requests for hosts that the settings do not allow.

It prevents DNS rebinding: the domain of a malicious page resolves to this address, so the browser
treats requests to this service as requests to that site, but sends its name in `Host`.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.exposure import WrongHost
from app.api.problems import on_service_error

# These show only the state, and load balancers request them by IP address.
PROBES = frozenset(
    {"/healthz", "/readyz", "/health", "/ping", "/v1/health/live", "/v1/health/ready"}
)


class AllowedHosts:
    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self._app = app
        self._names = frozenset(host.lower() for host in hosts if not host.startswith("*."))
        self._endings = tuple(host[1:].lower() for host in hosts if host.startswith("*."))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES or self._allows(scope):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        refusal = WrongHost("the Host header names none of the allowed hosts (allowed_hosts)")
        await on_service_error(request, refusal)(scope, receive, send)

    def _allows(self, scope: Scope) -> bool:
        name = without_port(Request(scope).headers.get("host", "")).lower()
        return name in self._names or name.endswith(self._endings)


def without_port(host: str) -> str:
    """`[::1]:8000` becomes `[::1]`."""
    name, _, port = host.rpartition(":")
    return name if name and port.isdigit() and (":" not in name or name.endswith("]")) else host
