"""A store in step with files: what is new goes in, what has changed is replaced, the rest goes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from os.path import abspath
from pathlib import Path

from app.ingest.chunking import Chunking, chunks_of, file_id
from app.ingest.document import Document, Unreadable
from app.ingest.finding import find_files
from app.ingest.reading import read_file
from app.retrieval.embedder import Embedder
from app.retrieval.store import Candidate
from app.retrieval.writer import StoreWriter

BATCH = 64  # chunks that are embedded and written at once; a stop loses no more than these
Read = Callable[[Path], list[Document]]


@dataclass(slots=True)
class Report:
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    chunks_written: int = 0
    chunks_removed: int = 0
    problems: list[str] = field(default_factory=list)


def source_of(path: Path) -> str:
    """As it was given, so that a citation reads like the command."""
    return path.as_posix()


class Sync:
    def __init__(
        self,
        writer: StoreWriter,
        embedder: Embedder | None,
        chunking: Chunking,
        read: Read = read_file,
    ) -> None:
        self._writer = writer
        self._embedder = embedder
        self._chunking = chunking
        self._read = read
        self._known: dict[str, set[str]] = {}

    async def run(self, paths: Sequence[Path], step: Callable[[], None] = lambda: None) -> Report:
        """Files are told apart by the path that they were given by."""
        seen: set[str] = set()
        await self._look()
        found = find_files(paths)
        report = Report(problems=[str(one) for one in (*found.closed, *found.outside)])
        for path in found.files:
            seen.add(source_of(path))
            try:
                await self._sync(path, report)
            except Unreadable as error:
                report.problems.append(str(error))
            step()
        folders = [path for path in paths if path.is_dir()]
        unknown = [folder.path for folder in found.closed]
        for source in sorted(self._known.keys() - seen):
            if lies_in_one(source, folders) and not lies_in_one(source, unknown):
                await self._remove(self._known[source], report)
                report.removed += 1
        return report

    async def _look(self) -> None:
        """Only what `rerankd ingest` wrote; all else in the collection is left alone."""
        known = defaultdict(set)
        for held in await self._writer.held():
            if held.source is not None and held.parent_doc_id == file_id(held.source):
                known[held.source].add(held.id)
        self._known = dict(known)

    async def _sync(self, path: Path, report: Report) -> None:
        source = source_of(path)
        chunks = chunks_of(source, self._read(path), self._chunking)
        known = self._known.get(source, set())
        missing = [chunk for chunk in chunks if chunk.id not in known]
        stale = known - {chunk.id for chunk in chunks}
        # In this order a stop in between leaves too much, and the next run puts that right.
        for start in range(0, len(missing), BATCH):
            await self._put(missing[start : start + BATCH], report)
        await self._remove(stale, report)
        if not missing and not stale:
            report.unchanged += 1
        elif known:
            report.changed += 1
        else:
            report.new += 1

    async def _put(self, chunks: Sequence[Candidate], report: Report) -> None:
        vectors: list[list[float]] = []
        if self._embedder is not None and self._writer.wants_vectors:
            vectors = await self._embedder.embed_passages([chunk.text for chunk in chunks])
        await self._writer.put(chunks, vectors)
        report.chunks_written += len(chunks)

    async def _remove(self, ids: set[str], report: Report) -> None:
        if ids:
            await self._writer.remove(sorted(ids))
            report.chunks_removed += len(ids)


def lies_in_one(source: str, folders: Sequence[Path]) -> bool:
    path = Path(abspath(source))  # noqa: PTH100 (keeps links)
    return any(path.is_relative_to(abspath(folder)) for folder in folders)  # noqa: PTH100
