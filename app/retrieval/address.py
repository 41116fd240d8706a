"""Where a store is: `chroma+https://host:8000/name?text=body`, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from app.errors import LoadFailed

PORTS = {"chroma": 8000, "qdrant": 6333, "elasticsearch": 9200, "opensearch": 9200}
KINDS = ("sqlite", "chroma", "postgresql", "qdrant", "elasticsearch", "opensearch", "template")


@dataclass(frozen=True, slots=True)
class Address:
    """Everything but `kind` may hold a password, so nothing else is shown."""

    kind: str
    path: str = field(repr=False)
    options: Mapping[str, str] = field(repr=False)
    base: str = field(default="", repr=False)  # of a store over HTTP, without credentials
    login: tuple[str, str] | None = field(default=None, repr=False)
    url: str = field(default="", repr=False)  # as given, of a store that is not over HTTP


def read_address(text: str) -> Address:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise LoadFailed("setting store: not a URL") from error
    kind, _, transport = parts.scheme.partition("+")
    kind = "postgresql" if kind == "postgres" else kind
    if kind not in KINDS or transport not in ("", "http", "https"):
        raise LoadFailed(f"setting store: a URL begins with one of {', '.join(KINDS)}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if kind in ("sqlite", "template", "postgresql"):
        place = text.partition(":")[2]
        path = place.partition("?")[0]
        path = path.removeprefix("//") if kind != "postgresql" else path
        if not path:
            raise LoadFailed(f"setting store: {kind}: names no file")
        return Address(kind, path, options, url=f"{kind}:{place}")
    if not parts.hostname:
        raise LoadFailed(f"setting store: {kind}:// names no host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    base = f"{transport or 'http'}://{host}:{port or PORTS[kind]}"
    return Address(kind, parts.path.strip("/"), options, base, login)
