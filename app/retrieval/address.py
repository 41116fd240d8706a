"""Reads the address of a store, such as `chroma+https://host:8000/name?text=body`."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

from app.retrieval.stores import STORES
from app.retrieval.stores.kind import Address

TRANSPORTS = ("", "http", "https")
HTTPS_PORT = 443


def read_address(text: str) -> Address:
    """The text of a ValueError never holds the address, which may hold a password."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ValueError("not a URL") from error
    scheme, _, transport = parts.scheme.partition("+")
    if parts.scheme in STORES:  # such as mongodb+srv
        scheme, transport = parts.scheme, ""
    if scheme not in STORES or transport not in TRANSPORTS:
        raise ValueError(f"a URL begins with one of {', '.join(STORES)}")
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    default_port = STORES[scheme].default_port
    if default_port is None:
        path = text.partition(":")[2].partition("?")[0].removeprefix("//")
        if not path and not options:
            raise ValueError(f"{scheme}: names no file or database")
        return Address(scheme, path, options, text)
    if not parts.hostname:
        raise ValueError(f"{scheme}:// names no host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    port = port or default_port
    base = f"{transport or ('https' if port == HTTPS_PORT else 'http')}://{host}:{port}"
    return Address(scheme, parts.path.strip("/"), options, text, base, login)
