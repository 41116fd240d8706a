"""The shared cache: one read for all texts of a request, within a limit that holds whatever the
server does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager

from app.events import Observe, SharedCacheFailed, SharedCacheRead, SharedCacheSwitched
from app.rerank.cache import TextScore
from app.shared_cache.availability import PROBE_SECONDS, Availability
from app.shared_cache.entries import InvalidValue, decode, encode
from app.shared_cache.server import KeyValueServer, ServerFailed
from app.shared_cache.writer import Writer

logger = logging.getLogger(__name__)

# Each one holds a connection.
MAX_READS_AT_ONCE = 16
MAX_KEYS_PER_READ = 1_000
# Steps of the event loop from an answer on the socket to its values.
STEPS_OF_AN_ANSWER = 4

Values = Sequence[bytes | None]


class SharedCache:
    def __init__(self, server: KeyValueServer, limit: float, ttl: float, observe: Observe) -> None:
        """`limit`: for how many seconds a request waits for a read at most."""
        self._server = server
        self._limit = limit
        self._observe = observe
        self._availability = Availability(lambda: asyncio.get_running_loop().time())
        self._writer = Writer(server, ttl, observe, lambda: self.up)
        self._reads: set[asyncio.Task[Values]] = set()

    @property
    def up(self) -> bool:
        return self._availability.up

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(self._probe_forever(), name="shared cache probes"),
            asyncio.create_task(self._writer.run(), name="shared cache writer"),
        ]
        try:
            yield
        finally:
            for task in (*tasks, *self._reads):
                task.cancel()
            await asyncio.gather(*tasks, *self._reads, return_exceptions=True)
            await self._server.close()

    def of_model(self, namespace: bytes) -> ModelScores:
        return ModelScores(self, namespace)

    def write(self, entries: Iterator[tuple[bytes, bytes]]) -> None:
        self._writer.put(entries)

    def refuse_values(self, count: int) -> None:
        self._observe(SharedCacheFailed("invalid_value", count))

    async def read(self, keys: Sequence[bytes]) -> Values:
        """As many values as keys, or none. A read that is late ends by itself, so that its
        connection can be used again."""
        if not self.up:
            self._observe(SharedCacheFailed("down"))
            return ()
        if len(self._reads) >= MAX_READS_AT_ONCE:
            self._observe(SharedCacheFailed("busy"))
            return ()
        loop = asyncio.get_running_loop()
        started = loop.time()
        read = loop.create_task(self._server.get_all(keys))
        self._reads.add(read)
        read.add_done_callback(self._forget)
        if not await self._ends_in_time(read):
            self._on_failed_read("timeout", f"no answer within {self._limit * 1000:g} ms")
            return ()
        try:
            values = read.result()
        except ServerFailed as error:
            self._on_failed_read("failed", str(error))
            return ()
        self._availability.read_succeeded()
        hits = sum(value is not None for value in values)
        self._observe(SharedCacheRead(hits, len(values) - hits, loop.time() - started))
        return values

    async def _ends_in_time(self, read: asyncio.Task[Values]) -> bool:
        await asyncio.wait({read}, timeout=self._limit)
        for _ in range(STEPS_OF_AN_ANSWER):  # the loop may have been late, and not the answer
            if read.done():
                break
            await asyncio.sleep(0)
        return read.done()

    def _forget(self, read: asyncio.Task[Values]) -> None:
        self._reads.discard(read)
        if not read.cancelled():
            read.exception()  # asyncio warns of an exception that nobody has seen

    async def _probe_forever(self) -> None:
        while True:
            if self._availability.probe_is_due:
                await self._probe()
            await asyncio.sleep(PROBE_SECONDS)

    async def _probe(self) -> None:
        """The first answer opens the connection; the second has to come as fast as a read."""
        try:
            await self._server.ping()
            async with asyncio.timeout(self._limit):
                await self._server.ping()
        except ServerFailed as error:
            changed, reason = self._availability.probe_failed(), str(error)
        except TimeoutError:
            changed = self._availability.probe_failed()
            reason = f"no answer within {self._limit * 1000:g} ms"
        else:
            if self._availability.probe_succeeded():
                self._switched(up=True)
            return
        if changed:
            self._switched(up=False, reason=reason)

    def _on_failed_read(self, kind: str, reason: str) -> None:
        self._observe(SharedCacheFailed(kind))
        if self._availability.read_failed():
            self._switched(up=False, reason=reason)

    def _switched(self, *, up: bool, reason: str = "") -> None:
        fields = {"address": self._server.address}
        if up:
            logger.info("shared_cache_up", extra={"fields": fields})
        else:
            logger.warning("shared_cache_down", extra={"fields": fields | {"reason": reason}})
        self._observe(SharedCacheSwitched(up))


class ModelScores:
    """The scores of one model, with its engine and precision."""

    def __init__(self, cache: SharedCache, namespace: bytes) -> None:
        self._cache = cache
        self._namespace = namespace

    async def get(self, keys: Sequence[bytes]) -> Mapping[bytes, TextScore]:
        keys = keys[:MAX_KEYS_PER_READ]
        values = await self._cache.read([self._namespace + key for key in keys])
        scores: dict[bytes, TextScore] = {}
        invalid = 0
        for key, value in zip(keys, values, strict=False):
            try:
                if value is not None:
                    scores[key] = decode(value)
            except InvalidValue:
                invalid += 1
        if invalid:
            self._cache.refuse_values(invalid)
        return scores

    def put(self, scores: Mapping[bytes, TextScore]) -> None:
        entries = ((self._namespace + key, encode(score)) for key, score in scores.items())
        self._cache.write(entries)
