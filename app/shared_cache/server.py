"""What the shared cache needs of the server that keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class ServerFailed(Exception):
    """The server cannot be reached, or refuses; the text is the reason, without keys."""


class KeyValueServer(Protocol):
    address: str  # host and port, for the log

    async def get_all(self, keys: Sequence[bytes]) -> Sequence[bytes | None]: ...

    async def put_all(self, entries: Sequence[tuple[bytes, bytes]], seconds: float) -> None: ...

    async def ping(self) -> None: ...

    async def close(self) -> None: ...
