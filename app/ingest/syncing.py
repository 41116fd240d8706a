"""Keeps a store in step with files: adds what is new, replaces what changed, removes the rest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from os.path import abspath
from pathlib import Path

from app.ingest.chunking import Chunking, chunks_of, file_id
from app.ingest.document import FileDocument, Unreadable
from app.ingest.finding import find_files
from app.ingest.reading import read_file
from app.retrieval.embedder import Embedder
from app.retrieval.store import Candidate
from app.retrieval.writer import StoreWriter

# Embedded and written at once; an interruption loses no more than these.
CHUNKS_PER_BATCH = 64
Read = Callable[[Path], list[FileDocument]]


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
    """As in the command, so that a citation reads like it."""
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
        self._chunks: dict[str, set[str]] = {}

    async def run(self, paths: Sequence[Path], step: Callable[[], None] = lambda: None) -> Report:
        """A file is identified by its path as in the command."""
        seen: set[str] = set()
        await self._look()
        selection = find_files(paths)
        report = Report(problems=list(map(str, (*selection.closed, *selection.outside))))
        for path in selection.files:
            seen.add(source_of(path))
            try:
                await self._sync(path, report)
            except Unreadable as error:
                report.problems.append(str(error))
            step()
        folders = [path for path in paths if path.is_dir()]
        closed = [folder.path for folder in selection.closed]
        for source in sorted(self._chunks.keys() - seen):
            if lies_within(source, folders) and not lies_within(source, closed):
                await self._remove(self._chunks[source], report)
                report.removed += 1
        return report

    async def _look(self) -> None:
        """Only the chunks that `rerankd ingest` wrote; others in the collection stay untouched."""
        chunks = defaultdict(set)
        for held in await self._writer.held():
            if held.source is not None and held.parent_doc_id == file_id(held.source):
                chunks[held.source].add(held.id)
        self._chunks = dict(chunks)

    async def _sync(self, path: Path, report: Report) -> None:
        source = source_of(path)
        chunks = chunks_of(source, self._read(path), self._chunking)
        stored = self._chunks.get(source, set())
        missing = [chunk for chunk in chunks if chunk.id not in stored]
        stale = stored - {chunk.id for chunk in chunks}
        # In this order an interruption leaves too many chunks, and the next run removes them.
        for start in range(0, len(missing), CHUNKS_PER_BATCH):
            await self._put(missing[start : start + CHUNKS_PER_BATCH], report)
        await self._remove(stale, report)
        if not missing and not stale:
            report.unchanged += 1
        elif stored:
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


def lies_within(source: str, folders: Sequence[Path]) -> bool:
    path = Path(abspath(source))  # noqa: PTH100 (keeps links)
    return any(path.is_relative_to(abspath(folder)) for folder in folders)  # noqa: PTH100
