"""MongoDB's vector search, in Atlas or in a server of your own. `?index=`, `?text=`, `?vector=` and
`?metadata=` name those of your own collection."""

from __future__ import annotations

from urllib.parse import unquote

from app.errors import LoadFailed
from app.retrieval.store import Store
from app.retrieval.stores.kind import Address, Opening, StoreKind
from app.retrieval.writer import StoreWriter

OWN_OPTIONS = ("index", "text", "vector", "metadata")


def database_of(address: Address) -> str:
    name = unquote(address.path.partition("/")[2])
    if not name:
        raise LoadFailed("setting store: mongodb names no database: mongodb://host/database")
    return name


def open_stores(opening: Opening) -> list[Store]:
    from app.retrieval.stores.mongodb_collection import MongoStore  # noqa: PLC0415
    from app.retrieval.stores.mongodb_driver import Database  # noqa: PLC0415

    database = Database(
        opening.address.url_without(OWN_OPTIONS), database_of(opening.address), opening.seconds
    )
    return [MongoStore(database, opening.collection, opening.address.options)]


def open_writer(opening: Opening) -> StoreWriter:
    from app.retrieval.stores.mongodb_collection import MongoWriter  # noqa: PLC0415
    from app.retrieval.stores.mongodb_driver import Database  # noqa: PLC0415

    database = Database(
        opening.address.url_without(OWN_OPTIONS), database_of(opening.address), opening.seconds
    )
    return MongoWriter(database, opening.collection)


STORE = StoreKind(
    title="MongoDB",
    schemes=("mongodb", "mongodb+srv"),
    examples=("mongodb+srv://user:password@cluster.mongodb.net/db", "mongodb://host/db"),
    extra="mongodb",
    reads="vectors",
    tested_against="a stand-in after its documentation, 8.x",
    open_stores=open_stores,
    open_writer=open_writer,
)
