"""A server of the shared cache in memory, which may be slow, fail or lose its order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from app.shared_cache.server import ServerFailed


class MemoryServer:
    address = "memory:1"

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds  # that each call takes
        self.ping_seconds = 0.0
        self.error = ""
        self.write_error = ""
        self.values: dict[bytes, bytes] = {}
        self.reads: list[Sequence[bytes]] = []
        self.writes: list[int] = []
        self.pings = self.reading = self.most_reading = 0
        self.ttl = 0.0
        self.closed = False

    async def get_all(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        self.reads.append(keys)
        self.reading += 1
        self.most_reading = max(self.most_reading, self.reading)
        try:
            await self._answer(self.seconds, self.error)
        finally:
            self.reading -= 1
        return [self.values.get(key) for key in keys]

    async def put_all(self, entries: Sequence[tuple[bytes, bytes]], seconds: float) -> None:
        await self._answer(self.seconds, self.error or self.write_error)
        self.values.update(entries)
        self.writes.append(len(entries))
        self.ttl = seconds

    async def ping(self) -> None:
        self.pings += 1
        await self._answer(self.ping_seconds, self.error)

    async def close(self) -> None:
        self.closed = True

    async def _answer(self, seconds: float, error: str) -> None:
        await asyncio.sleep(seconds)
        if error:
            raise ServerFailed(error)
