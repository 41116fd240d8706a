"""Redis, or a server that speaks its protocol, as the server of the shared cache."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.shared_cache.server import ServerFailed

# Ends what a request has stopped waiting for long before.
SOCKET_SECONDS = 1.0
MAX_REASON_CHARS = 200

T = TypeVar("T")


class RedisServer:
    def __init__(self, url: str) -> None:
        self.address = address_of(url)
        self._client: Redis = Redis.from_url(
            url,
            protocol=2,  # without a call to agree on another one
            socket_timeout=SOCKET_SECONDS,
            socket_connect_timeout=SOCKET_SECONDS,
            socket_keepalive=True,
            # Who waits for a score computes it meanwhile.
            retry=Retry(NoBackoff(), 0),
            client_name="rerankd",
        )

    async def get_all(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        values = await self._call("MGET", *keys)
        if not isinstance(values, list) or len(values) != len(keys):
            raise ServerFailed("the answer does not have a value for each key")
        return values

    async def put_all(self, entries: Sequence[tuple[bytes, bytes]], seconds: float) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for key, value in entries:
            pipeline.execute_command("SET", key, value, "PX", max(1, int(seconds * 1000)))
        await translated(pipeline.execute())

    async def ping(self) -> None:
        await self._call("PING")

    async def close(self) -> None:
        await translated(self._client.aclose())

    async def _call(self, *command: str | bytes) -> Any:
        return await translated(self._client.execute_command(*command))  # type: ignore[no-untyped-call]


async def translated(call: Awaitable[T]) -> T:
    """A server that speaks another protocol may cause any error in the client."""
    try:
        return await call
    except (RedisError, OSError) as error:
        raise ServerFailed(str(error)[:MAX_REASON_CHARS] or type(error).__name__) from error
    except Exception as error:
        raise ServerFailed(f"unexpected {type(error).__name__}") from error


def address_of(url: str) -> str:
    """Without a password."""
    parts = urlsplit(url)
    return parts.path if parts.scheme == "unix" else parts.netloc.rpartition("@")[2]
