"""LanceDB in this process: a folder with a table for each collection."""

from __future__ import annotations

from app.retrieval.store import Store
from app.retrieval.stores.kind import Opening, StoreKind
from app.retrieval.writer import StoreWriter


def open_stores(opening: Opening) -> list[Store]:
    from app.retrieval.stores.lancedb_table import (  # noqa: PLC0415 (the extra)
        Folder,
        LanceDBStore,
    )

    folder = Folder(opening.file, opening.seconds)
    return [LanceDBStore(folder, opening.collection, opening.address.options)]


def open_writer(opening: Opening) -> StoreWriter:
    from app.retrieval.stores.lancedb_table import (  # noqa: PLC0415 (the extra)
        Folder,
        LanceDBWriter,
    )

    folder = Folder(opening.file, opening.seconds)
    return LanceDBWriter(folder, opening.collection, opening.address.options)


STORE = StoreKind(
    title="LanceDB",
    schemes=("lancedb",),
    examples=("lancedb:rerankd.lancedb",),
    reads="vectors",
    tested_against="the real library",
    open_stores=open_stores,
    open_writer=open_writer,
    extra="lancedb",
)
