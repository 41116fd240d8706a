from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from errno import EACCES
from pathlib import Path
from typing import Any

import pytest

from app.errors import UpstreamFailed
from app.ingest.chunking import Chunking
from app.ingest.syncing import Sync
from app.retrieval.opening import open_writer
from app.retrieval.store import Candidate
from app.retrieval.writer import StoreWriter
from tests.retrieval.stage import stage_of

pytestmark = pytest.mark.anyio


def count_words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.md").write_text("# A\n" + "One two three. " * 40)
    (folder / "b.txt").write_text("Four five six.")
    return folder


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[StoreWriter]:
    async with open_writer(stage_of([f"sqlite:{tmp_path / 'a.db'}"])) as (opened, _):
        yield opened


async def sync(writer: StoreWriter, *paths: Path) -> dict[str, Any]:
    report = await Sync(writer, None, Chunking(count_words, 20, 0)).run(paths)
    names = ("new", "changed", "unchanged", "removed", "chunks_written", "chunks_removed")
    return {name: getattr(report, name) for name in names if getattr(report, name)}


async def sources(writer: StoreWriter) -> set[str]:
    return {Path(chunk.source or "").name for chunk in await writer.held()}


async def test_what_is_in_the_store_already_is_not_written_again(
    writer: StoreWriter, notes: Path
) -> None:
    first = await sync(writer, notes)
    assert first == {"new": 2, "chunks_written": len(await writer.held())}
    assert await sync(writer, notes) == {"unchanged": 2}


async def test_of_a_changed_file_only_what_changed_is_replaced(
    writer: StoreWriter, notes: Path
) -> None:
    await sync(writer, notes)
    (notes / "a.md").write_text((notes / "a.md").read_text() + "\n# B\nNew.")
    assert await sync(writer, notes) == {"changed": 1, "unchanged": 1, "chunks_written": 1}
    (notes / "b.txt").write_text("Other.")
    changed = {"changed": 1, "unchanged": 1, "chunks_written": 1, "chunks_removed": 1}
    assert await sync(writer, notes) == changed


async def test_a_file_that_has_gone_from_its_folder_goes_from_the_store(
    writer: StoreWriter, notes: Path
) -> None:
    await sync(writer, notes)
    (notes / "b.txt").unlink()
    assert await sync(writer, notes / "a.md") == {"unchanged": 1}
    assert await sync(writer, notes) == {"unchanged": 1, "removed": 1, "chunks_removed": 1}
    assert await sources(writer) == {"a.md"}


async def test_what_others_put_there_stays_whatever_it_says_of_its_source(
    writer: StoreWriter, notes: Path
) -> None:
    inside = (notes / "gone.md").as_posix()
    await writer.put([Candidate("x", "theirs", {"source": inside, "parent_doc_id": "theirs"})], [])
    await writer.put([Candidate("y", "theirs too")], [])
    await sync(writer, notes)
    assert {"x", "y"} <= {chunk.id for chunk in await writer.held()}


async def test_an_unreadable_file_is_reported_stops_no_other_and_keeps_its_chunks(
    writer: StoreWriter, notes: Path
) -> None:
    await sync(writer, notes)
    (notes / "a.md").write_bytes(b"\xff\xff")
    (notes / "c.txt").write_text("Seven.")
    report = await Sync(writer, None, Chunking(count_words, 20, 0)).run([notes])
    assert report.problems == [f"{notes / 'a.md'}: is not UTF-8 text"]
    assert (report.new, report.removed) == (1, 0)
    assert await sources(writer) == {"a.md", "b.txt", "c.txt"}


async def test_a_folder_that_cannot_be_listed_is_reported_and_keeps_its_chunks(
    writer: StoreWriter, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a user without the right to; whoever runs the tests may be root."""
    (notes / "inner").mkdir()
    (notes / "inner/c.txt").write_text("Seven.")
    await sync(writer, notes)
    (notes / "b.txt").unlink()
    scan = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path).name == "inner":
            raise PermissionError(EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    report = await Sync(writer, None, Chunking(count_words, 20, 0)).run([notes])
    assert report.problems == [f"{notes / 'inner'}: Permission denied"]
    assert report.removed == 1
    assert await sources(writer) == {"a.md", "c.txt"}


async def test_a_file_without_a_status_is_reported_and_keeps_its_chunks(
    writer: StoreWriter, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a folder that may be listed and not entered."""
    await sync(writer, notes)
    stat, read = Path.stat, Path.read_text

    def refuse(done: Any) -> Any:
        def call(path: Path, *words: Any, **more: Any) -> Any:
            if path.name == "b.txt":
                raise PermissionError(EACCES, "Permission denied", str(path))
            return done(path, *words, **more)

        return call

    monkeypatch.setattr(Path, "stat", refuse(stat))
    monkeypatch.setattr(Path, "read_text", refuse(read))
    report = await Sync(writer, None, Chunking(count_words, 20, 0)).run([notes])
    assert report.problems == [f"{notes / 'b.txt'}: Permission denied"]
    assert await sources(writer) == {"a.md", "b.txt"}


async def test_what_a_link_out_of_the_folder_leads_to_is_reported_and_goes_from_the_store(
    writer: StoreWriter, notes: Path
) -> None:
    await sync(writer, notes)
    (notes / "b.txt").rename(notes.parent / "private.txt")
    (notes / "b.txt").symlink_to("../private.txt")
    report = await Sync(writer, None, Chunking(count_words, 20, 0)).run([notes])
    reason = f"is a link that leads out of {notes}; name its target to have it read"
    assert report.problems == [f"{notes / 'b.txt'}: {reason}"]
    assert report.removed == 1
    assert await sources(writer) == {"a.md"}


async def test_a_file_of_too_many_chunks_is_reported_and_keeps_its_chunks(
    writer: StoreWriter, notes: Path
) -> None:
    await sync(writer, notes)
    (notes / "b.txt").write_text("".join(f"This is number {number}. " for number in range(9)))
    report = await Sync(writer, None, Chunking(count_words, 4, 0, max_chunks=2)).run([notes])
    reason = "makes more than 2 chunks (--max-file-chunks)"
    assert f"{notes / 'b.txt'}: {reason}" in report.problems
    assert await sources(writer) == {"a.md", "b.txt"}


class Stopping:
    """A writer that fails on its second write, and otherwise is the real one."""

    wants_vectors = False

    def __init__(self, writer: StoreWriter) -> None:
        self._writer = writer
        self._writes = 0
        self.name = writer.name
        self.held, self.remove, self.close = writer.held, writer.remove, writer.close

    async def put(self, chunks: Sequence[Candidate], vectors: Sequence[Sequence[float]]) -> None:
        self._writes += 1
        if self._writes == 2:
            raise UpstreamFailed("stopped", upstream=self.name)
        await self._writer.put(chunks, vectors)


async def test_after_a_stop_the_next_run_goes_on_from_there(
    writer: StoreWriter, notes: Path
) -> None:
    lines = [f'{{"text": "Row number {number}."}}' for number in range(100)]
    (notes / "a.md").unlink()
    (notes / "a.jsonl").write_text("\n".join(lines))
    with pytest.raises(UpstreamFailed, match="stopped"):
        await sync(Stopping(writer), notes)
    written = len(await writer.held())
    assert written == 64
    resumed = await sync(writer, notes)
    assert resumed["chunks_written"] == 101 - written
    assert await sync(writer, notes) == {"unchanged": 2}
