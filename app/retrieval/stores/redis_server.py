"""A server of Redis or Valkey: commands within a time limit. This file knows the library."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeout

from app.errors import LoadFailed, UpstreamFailed, UpstreamTimeout

NAME = "redis"
LOST = "has no such index: `rerankd ingest` makes it, or set RERANKD_COLLECTION"
# By words that an error contains, in small letters.
REASONS = {
    ("no such index", "unknown index", "not found"): LOST,
    ("unknown command",): "has no search: it needs Redis 8, Redis Stack or valkey-search",
    ("noauth", "wrongpass", "noperm", "invalid user", "invalid pass", "authentication"): (
        "refuses the login: see the URL in RERANKD_STORE"
    ),
    ("oom ", "maxmemory"): "is full: raise its maxmemory, which must not evict passages",
    ("blob size", "vector size", "dimension", "does not match"): (
        "has vectors of another embedder: set that one, or name another collection"
    ),
    ("db != 0", "database"): "has its search in database 0 only: end the URL with /0",
}


def failed(reason: str) -> UpstreamFailed:
    return UpstreamFailed(f"{NAME} {reason}", upstream=NAME)


def reason_of(error: RedisError | OSError) -> str:
    """The end of a sentence. The text of the server is not used: it may quote what was sent."""
    text = str(error)
    for words, reason in REASONS.items():
        if any(word in text.lower() for word in words):
            return reason
    if isinstance(error, ResponseError):
        code = text.partition(" ")[0]
        return f"failed with {code}" if code.isupper() else "refused the command"
    return "cannot be reached, or broke the connection"


class RedisServer:
    def __init__(self, url: str, seconds: float) -> None:
        self.seconds = seconds
        try:
            self._client: Redis = Redis.from_url(
                url,
                protocol=2,  # its answers are lists, in Redis and in Valkey
                socket_timeout=seconds,
                socket_connect_timeout=seconds,
                retry=Retry(NoBackoff(), 0),
                client_name="rerankd",
            )
            # Its options are not looked at before; nothing is contacted.
            self._client.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        except (ValueError, TypeError) as error:
            raise LoadFailed("setting store: redis: no valid address or options") from error

    async def call(self, *command: str | int | bytes) -> Any:
        with self._translated():
            async with asyncio.timeout(self.seconds):
                return await self._client.execute_command(*command)  # type: ignore[no-untyped-call]

    async def call_all(self, commands: Sequence[Sequence[str | bytes]]) -> list[Any]:
        """In one message, and not as a transaction."""
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        with self._translated():
            async with asyncio.timeout(self.seconds):
                return await pipeline.execute()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (TimeoutError, RedisTimeout) as error:
            raise UpstreamTimeout(
                f"{NAME} did not answer within {self.seconds * 1000:.0f} ms", upstream=NAME
            ) from error
        except (RedisError, OSError) as error:
            raise failed(reason_of(error)) from error

    async def close(self) -> None:
        await self._client.aclose()
