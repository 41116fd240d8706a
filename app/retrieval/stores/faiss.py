"""FAISS in this process: a folder with indexes of vectors and the passages that belong to them."""

from __future__ import annotations

import asyncio
import fcntl
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BufferedWriter
from pathlib import Path
from typing import Literal, TypeVar

from app.errors import UpstreamTimeout
from app.retrieval.endpoint import sound
from app.retrieval.store import Candidate, Search, Store
from app.retrieval.stores.faiss_collection import (
    CURRENT,
    Chunk,
    Collection,
    failed,
    load,
    read_version,
    save,
    unit_vectors,
    use_single_core,
)
from app.retrieval.stores.kind import Opening, StoreKind
from app.retrieval.writer import Held, check_size, held_as

LOCK = "lock"
# Callers may name any collection, and each that is searched is held in memory.
MAX_COLLECTIONS_IN_MEMORY = 4
MAX_PASSAGES = 1_000_000
# A version holds everything, so it is written only after many changes: these, or a quarter.
MIN_CHANGES_TO_SAVE = 4096

Result = TypeVar("Result")


class Worker:
    """Runs blocking calls on its own thread, one after the other."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._thread = ThreadPoolExecutor(1, "faiss", initializer=use_single_core)

    async def run(self, work: Callable[[], Result], *, limited: bool = True) -> Result:
        try:
            async with asyncio.timeout(self._seconds if limited else None):
                return await asyncio.wrap_future(self._thread.submit(work))
        except TimeoutError as error:
            raise UpstreamTimeout(
                f"faiss did not answer within {self._seconds * 1000:.0f} ms", upstream="faiss"
            ) from error
        except OSError as error:
            raise failed(f"the folder cannot be read or written: {error.strerror}") from error
        except (MemoryError, RuntimeError) as error:
            raise failed(f"the library failed with {type(error).__name__}") from error

    def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


class FaissStore:
    name = "faiss"
    reads: Literal["words", "vector"] = "vector"

    def __init__(self, folder: Path, collection: str, seconds: float) -> None:
        self._folder = folder
        self._collection = collection
        self._worker = Worker(seconds)
        self._loaded: OrderedDict[str, Collection] = OrderedDict()

    async def search(self, search: Search) -> list[Candidate]:
        def work() -> list[Candidate]:
            collection = self._current(search.collection or self._collection)
            vector = search.vector or ()
            check_size(self.name, collection.version.vector_size, len(vector))
            return collection.search(unit_vectors([vector]), search.k, search.filters)

        return await self._worker.run(work)

    def _current(self, name: str) -> Collection:
        """The old version leaves memory before the new one is loaded."""
        collection = self._loaded.pop(name, None)
        if collection is None or read_version(self._folder / name) != collection.version:
            collection = None
            while len(self._loaded) >= MAX_COLLECTIONS_IN_MEMORY:
                self._loaded.popitem(last=False)
            collection = load(self._folder / name)
        self._loaded[name] = collection
        return collection

    async def close(self) -> None:
        self._worker.close()


class FaissWriter:
    """Holds the collection in memory, and the lock of its folder, until it is closed."""

    name = "faiss"
    wants_vectors = True

    def __init__(self, folder: Path, collection: str, seconds: float) -> None:
        self._folder = folder / collection
        self._worker = Worker(seconds)
        self._lock: BufferedWriter | None = None
        self._chunks: dict[str, Chunk] = {}
        self._vector_size = 0
        self._changes = 0

    async def held(self) -> list[Held]:
        def work() -> list[Held]:
            self._open()
            return [held_as(name, chunk.passage.metadata) for name, chunk in self._chunks.items()]

        return await self._worker.run(work)

    async def put(self, chunks: Sequence[Candidate], vectors: Sequence[Sequence[float]]) -> None:
        def work() -> None:
            self._open()
            size = len(vectors[0])
            check_size(self.name, self._vector_size if self._chunks else size, size)
            rows = zip(map(clean, chunks), unit_vectors(vectors), strict=True)
            added = {passage.id: Chunk(passage, vector) for passage, vector in rows}
            if len(self._chunks.keys() | added.keys()) > MAX_PASSAGES:
                raise failed(
                    f"a collection holds at most {MAX_PASSAGES} chunks: use another store, or "
                    "several collections"
                )
            self._vector_size = size
            self._chunks |= added
            self._changed(len(added))

        await self._worker.run(work)

    async def remove(self, ids: Sequence[str]) -> None:
        def work() -> None:
            self._open()
            removed = [self._chunks.pop(name, None) for name in ids]
            self._changed(len(removed) - removed.count(None))

        await self._worker.run(work)

    async def close(self) -> None:
        """Returns after everything is on disk."""

        def work() -> None:
            try:
                if self._changes:
                    self._save()
            finally:
                if self._lock is not None:
                    self._lock.close()

        try:
            await self._worker.run(work, limited=False)
        finally:
            self._worker.close()

    def _open(self) -> None:
        if self._lock is not None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = (self._folder / LOCK).open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if (self._folder / CURRENT).exists():
                self._read()
        except BlockingIOError as error:
            lock.close()
            raise failed(
                f"another `rerankd ingest` is writing the collection {self._folder.name}: run "
                "this one again after it has ended"
            ) from error
        except BaseException:
            lock.close()
            raise
        self._lock = lock

    def _read(self) -> None:
        collection = load(self._folder)
        count, self._vector_size = collection.version.passages, collection.version.vector_size
        vectors = collection.index.reconstruct_n(0, count) if count else []
        rows = zip(collection.passages, vectors, strict=True)
        self._chunks = {passage.id: Chunk(passage, vector) for passage, vector in rows}

    def _changed(self, count: int) -> None:
        self._changes += count
        if self._changes >= max(MIN_CHANGES_TO_SAVE, len(self._chunks) // 4):
            self._save()

    def _save(self) -> None:
        save(self._folder, list(self._chunks.values()), self._vector_size)
        self._changes = 0


def clean(chunk: Candidate) -> Candidate:
    """As it can be read back: what no JSON can hold is replaced, or refused with a reason."""
    try:
        return Candidate(sound(chunk.id), sound(chunk.text), sound(dict(chunk.metadata)))
    except (RecursionError, ValueError) as error:
        raise failed(f"metadata of the chunk {chunk.id} are nested too deep") from error


def open_stores(opening: Opening) -> list[Store]:
    import faiss  # noqa: F401, PLC0415 (an extra, missed here rather than at the first search)

    return [FaissStore(opening.file, opening.collection, opening.seconds)]


def open_writer(opening: Opening) -> FaissWriter:
    import faiss  # noqa: F401, PLC0415 (an extra)

    return FaissWriter(opening.file, opening.collection, opening.seconds)


STORE = StoreKind(
    title="FAISS",
    schemes=("faiss",),
    examples=("faiss:rerankd.faiss",),
    extra="faiss",
    reads="vectors",
    tested_against="the real library",
    open_stores=open_stores,
    open_writer=open_writer,
)
