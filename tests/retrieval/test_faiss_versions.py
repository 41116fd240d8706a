"""Versions of a folder of the FAISS store: how they are replaced, damaged, locked and killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.errors import NoStore, UpstreamFailed
from app.retrieval.store import Candidate
from app.retrieval.stores import faiss as faiss_store
from app.retrieval.stores.faiss import FaissStore, FaissWriter
from app.retrieval.stores.faiss_collection import Version, read_version
from tests.retrieval.directions import (
    EAST,
    PASSAGES,
    VECTORS,
    fill,
    ids,
    search_once,
    versions,
)

pytestmark = pytest.mark.anyio


async def test_a_running_service_searches_each_new_version(tmp_path: Path) -> None:
    store = FaissStore(tmp_path, "docs", 60)
    with pytest.raises(NoStore, match=r"no collection docs in .* yet: `rerankd ingest` makes it"):
        await ids(store)
    for name in ("first", "second"):
        await fill(tmp_path, [Candidate(name, name, {"n": 1})], [EAST])
        assert name in await ids(store, n=1)
    await store.close()


async def test_a_version_that_is_deleted_while_it_is_read_is_read_in_its_newer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(tmp_path, PASSAGES[:1], VECTORS[:1])
    old = read_version(tmp_path / "docs")
    await fill(tmp_path)
    seen = [old]

    def read_old_first(folder: Path) -> Version:
        return seen.pop() if seen else read_version(folder)

    monkeypatch.setattr("app.retrieval.stores.faiss_collection.read_version", read_old_first)
    assert len(await search_once(tmp_path)) == 3


def contents(folder: Path) -> list[tuple[Path, int]]:
    return sorted((path, path.stat().st_mtime_ns) for path in folder.rglob("*"))


async def test_searching_writes_nothing(tmp_path: Path) -> None:
    await fill(tmp_path)
    before = contents(tmp_path)
    assert await search_once(tmp_path, k=1) == ["east"]
    assert before == contents(tmp_path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("file", ["index.faiss", "passages.jsonl", "current.json"])
@pytest.mark.parametrize("harm", [cut, flip, Path.unlink])
async def test_a_damaged_folder_is_an_error_with_a_reason_and_never_a_crash(
    tmp_path: Path, file: str, harm: Any
) -> None:
    await fill(tmp_path)
    store = FaissStore(tmp_path, "docs", 60)
    version = tmp_path / "docs" / versions(tmp_path)[0]
    harm((version.parent if file == "current.json" else version) / file)
    missing = file == "current.json" and harm is Path.unlink
    reason = "no collection docs" if missing else "collection docs is damaged: delete its folder"
    with pytest.raises(UpstreamFailed, match=reason):
        await ids(store)
    await store.close()
    if not missing:
        writer = FaissWriter(tmp_path, "docs", 60)
        with pytest.raises(UpstreamFailed, match=reason):
            await writer.held()
        await writer.close()


async def test_files_of_different_versions_are_damage(tmp_path: Path) -> None:
    """Their checksums may be right, but their numbers of passages differ."""
    await fill(tmp_path)
    current = tmp_path / "docs" / "current.json"
    current.write_text(current.read_text().replace('"passages": 3', '"passages": 2'))
    with pytest.raises(UpstreamFailed, match="is damaged"):
        await search_once(tmp_path)


async def test_a_folder_that_cannot_be_made_names_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UpstreamFailed, match="cannot be read or written: Not a directory"):
        await fill(tmp_path / "file")
    with pytest.raises(NoStore, match="no collection docs in file"):
        await search_once(tmp_path / "file")


async def test_a_second_ingest_of_a_collection_is_refused_until_the_first_ends(
    tmp_path: Path,
) -> None:
    first, second = FaissWriter(tmp_path, "docs", 60), FaissWriter(tmp_path, "docs", 60)
    await first.put(PASSAGES, VECTORS)
    with pytest.raises(UpstreamFailed, match="another `rerankd ingest` is writing the collection"):
        await second.held()
    await fill(tmp_path, collection="others")
    await first.close()
    assert len(await second.held()) == 3
    await second.close()


async def test_a_long_ingest_saves_on_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faiss_store, "MIN_CHANGES_TO_SAVE", 4)
    writer = FaissWriter(tmp_path, "docs", 60)
    await writer.put(PASSAGES, VECTORS)
    assert versions(tmp_path) == []
    await writer.put([Candidate("more", "More.")], [EAST])
    assert len(await search_once(tmp_path)) == 4
    await writer.close()
    assert len(versions(tmp_path)) == 1


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from app import durable
from app.retrieval.store import Candidate
from app.retrieval.stores import faiss_collection
from app.retrieval.stores.faiss import FaissWriter

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    writer = FaissWriter(Path(sys.argv[1]), "docs", 60)
    await writer.put([Candidate("killed", "Killed.")], [[1.0, 0.0]])
    setattr({"collection": faiss_collection, "durable": durable}[sys.argv[2]], sys.argv[3], kill)
    await writer.close()

asyncio.run(main())
"""


def run_until_killed(folder: Path, module: str, step: str) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", KILLED, str(folder), module, step]
    process = subprocess.run(command, env=environment, check=False)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("module", "step"),
    [
        ("collection", "sync_tree"),
        ("collection", "sha256_of"),
        ("collection", "write_bytes"),
        ("durable", "rename"),
    ],
)
async def test_an_ingest_that_is_killed_while_it_saves_leaves_the_old_version(
    tmp_path: Path, module: str, step: str
) -> None:
    await fill(tmp_path)
    run_until_killed(tmp_path, module, step)
    assert len(versions(tmp_path)) == 2
    assert await search_once(tmp_path) == ["east", "north", "west"]
    await fill(tmp_path, [Candidate("next", "Next.")], [EAST])
    assert len(await search_once(tmp_path)) == 4
    assert len(versions(tmp_path)) == 1


async def test_a_save_that_fails_leaves_the_old_version_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(tmp_path)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("app.retrieval.stores.faiss_collection.sync_tree", refuse)
    with pytest.raises(UpstreamFailed, match="cannot be read or written: No space left on device"):
        await fill(tmp_path, [Candidate("lost", "Lost.")], [EAST])
    assert len(versions(tmp_path)) == 1
    assert len(await search_once(tmp_path)) == 3
