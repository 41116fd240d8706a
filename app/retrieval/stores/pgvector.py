"""PostgreSQL with pgvector. `?table=`, `?id=`, `?text=`, `?vector=`, `?metadata=` name your own."""

from __future__ import annotations

from app.retrieval.store import Store
from app.retrieval.stores.kind import Address, Opening, StoreKind
from app.retrieval.writer import StoreWriter

OWN_OPTIONS = ("table", "id", "text", "vector", "metadata")


def dsn(address: Address) -> str:
    """PostgreSQL reads the other options in its own way."""
    return f"postgresql:{address.url_without(OWN_OPTIONS).partition(':')[2]}"


def open_stores(opening: Opening) -> list[Store]:
    from app.retrieval.stores.pgvector_table import PgvectorStore, Postgres  # noqa: PLC0415

    server = Postgres(dsn(opening.address), opening.seconds)
    return [PgvectorStore(server, opening.collection, opening.address.options)]


def open_writer(opening: Opening) -> StoreWriter:
    from app.retrieval.stores.pgvector_table import PgvectorWriter, Postgres  # noqa: PLC0415

    return PgvectorWriter(Postgres(dsn(opening.address), opening.seconds), opening.collection)


STORE = StoreKind(
    title="PostgreSQL with pgvector",
    schemes=("postgresql", "postgres"),
    examples=("postgresql://user:password@host/db",),
    extra="postgres",
    reads="vectors",
    tested_against="a real PostgreSQL with pgvector",
    open_stores=open_stores,
    open_writer=open_writer,
)
