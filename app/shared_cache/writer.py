"""Writes scores in the background: no request waits for it, and what finds no room is dropped."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable

from app.events import Observe, SharedCacheFailed, SharedCacheWritten
from app.shared_cache.server import KeyValueServer, ServerFailed

logger = logging.getLogger(__name__)

MAX_QUEUED = 20_000
MAX_ENTRIES_PER_CALL = 500


class Writer:
    def __init__(
        self, server: KeyValueServer, ttl: float, observe: Observe, in_use: Callable[[], bool]
    ) -> None:
        """`ttl`: how many seconds the server keeps an entry."""
        self._server = server
        self._ttl = ttl
        self._observe = observe
        self._in_use = in_use
        self._queue: deque[tuple[bytes, bytes]] = deque()
        self._filled = asyncio.Event()
        self._failing = False

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, entries: Iterable[tuple[bytes, bytes]]) -> None:
        """Nothing waits for a server that is not in use: it would be written much later."""
        if not self._in_use():
            return
        wanted = list(entries)
        room = MAX_QUEUED - len(self._queue)
        self._queue.extend(wanted[:room])
        if len(wanted) > room:
            self._observe(SharedCacheFailed("queue_full"))
        self._filled.set()

    async def run(self) -> None:
        while True:
            await self._filled.wait()
            while self._queue:
                count = min(len(self._queue), MAX_ENTRIES_PER_CALL)
                await self._write([self._queue.popleft() for _ in range(count)])
            self._filled.clear()

    async def _write(self, entries: list[tuple[bytes, bytes]]) -> None:
        try:
            await self._server.put_all(entries, self._ttl)
        except ServerFailed as error:
            self._queue.clear()
            self._observe(SharedCacheFailed("not_written"))
            if not self._failing and self._in_use():
                fields = {"address": self._server.address, "reason": str(error)}
                logger.warning("shared_cache_not_written", extra={"fields": fields})
            self._failing = True
        else:
            self._failing = False
            self._observe(SharedCacheWritten(len(entries)))
