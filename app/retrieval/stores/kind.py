"""What a store is to the rest of the service: its addresses, and how it is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from app.errors import LoadFailed
from app.retrieval.endpoint import Endpoint
from app.retrieval.store import Store
from app.retrieval.writer import StoreWriter
from app.upstream.reading import ACCEPTED_ENCODINGS

# Time limit of writing one batch: an index may be built meanwhile.
WRITING_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Address:
    """Everything but the scheme may hold a password, so nothing else is shown.

    A store over HTTP has a `base` without credentials, and a `login`. `url` is the whole address
    as it was written.
    """

    scheme: str
    path: str = field(repr=False)
    options: Mapping[str, str] = field(repr=False)
    url: str = field(repr=False)
    base: str = field(default="", repr=False)
    login: tuple[str, str] | None = field(default=None, repr=False)

    def url_without(self, own: Sequence[str]) -> str:
        """For a library that reads the other options in its own way, so they stay as text."""
        url, _, options = self.url.partition("?")
        kept = [pair for pair in options.split("&") if pair and pair.partition("=")[0] not in own]
        return f"{url}?{'&'.join(kept)}" if kept else url


@dataclass(frozen=True, slots=True)
class Opening:
    """What a store is opened with. `seconds` is the time limit of one call."""

    address: Address
    collection: str
    key: str = field(repr=False)
    seconds: float
    has_embedder: bool
    transport: httpx.AsyncBaseTransport | None

    @property
    def file(self) -> Path:
        if not self.address.path:
            raise LoadFailed(f"setting store: {self.address.scheme}: names no file")
        return Path(self.address.path)

    def endpoint(self, headers: Mapping[str, str], lost: str, *, path: str = "") -> Endpoint:
        """The store over HTTP. `{key}` in headers becomes the key; without a key, none is sent."""
        address = self.address
        filled = {name: value.replace("{key}", self.key) for name, value in headers.items()}
        client = http_client(
            f"{address.base}/{path}", filled if self.key else {}, self.transport, address.login
        )
        return Endpoint(address.scheme, client, self.seconds, lost=lost)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreKind:
    """A member of the family: a file beside this one exports it, and `__init__` lists it.

    Opening asks the store nothing. Where `rerankd ingest` cannot fill the store, `open_writer` is
    the reason. Only a store that runs on a host over HTTP has a `default_port`. A library that only
    an extra installs is imported within the two functions, and `extra` names that extra. The other
    fields are the store's row in docs/how-to/stores.md, where `title` also heads a section.
    """

    title: str
    schemes: tuple[str, ...]
    examples: tuple[str, ...]
    reads: str
    tested_against: str
    open_stores: Callable[[Opening], Sequence[Store]]
    open_writer: Callable[[Opening], StoreWriter] | str
    default_port: int | None = None
    extra: str = ""


def http_client(
    base: str,
    headers: Mapping[str, str],
    transport: httpx.AsyncBaseTransport | None,
    login: tuple[str, str] | None = None,
) -> httpx.AsyncClient:
    """The limit that counts is the endpoint's, for all attempts together; this one is longer."""
    try:
        return httpx.AsyncClient(
            base_url=base,
            headers={**ACCEPTED_ENCODINGS, **headers},
            auth=login,
            timeout=WRITING_SECONDS,
            transport=transport,
        )
    except (httpx.InvalidURL, UnicodeEncodeError) as error:
        raise LoadFailed("setting store or embedder: no valid address or key") from error
