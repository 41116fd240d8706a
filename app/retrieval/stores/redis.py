"""The search of Redis, or of Valkey. `?text=`, `?vector=`, `?metadata=` name fields of your own."""

from __future__ import annotations

from app.errors import LoadFailed
from app.retrieval.store import Store
from app.retrieval.stores.kind import Address, Opening, StoreKind
from app.retrieval.writer import StoreWriter

OWN_OPTIONS = ("text", "vector", "metadata")


def url_of(address: Address) -> str:
    """The client takes any path as database 0."""
    if not address.path.partition("/")[2].isdecimal() and "/" in address.path.rstrip("/"):
        raise LoadFailed("setting store: redis: the path of the URL is the number of a database")
    return address.url_without(OWN_OPTIONS)


def open_stores(opening: Opening) -> list[Store]:
    from app.retrieval.stores.redis_index import RedisStore  # noqa: PLC0415
    from app.retrieval.stores.redis_server import RedisServer  # noqa: PLC0415

    server = RedisServer(url_of(opening.address), opening.seconds)
    return [RedisStore(server, opening.collection, opening.address.options)]


def open_writer(opening: Opening) -> StoreWriter:
    from app.retrieval.stores.redis_index import RedisWriter  # noqa: PLC0415
    from app.retrieval.stores.redis_server import RedisServer  # noqa: PLC0415

    return RedisWriter(RedisServer(url_of(opening.address), opening.seconds), opening.collection)


STORE = StoreKind(
    title="Redis",
    schemes=("redis", "rediss"),
    examples=("redis://host:6379", "rediss://:password@host:6379"),
    extra="redis",
    reads="vectors",
    tested_against="a real Redis with its search",
    open_stores=open_stores,
    open_writer=open_writer,
)
