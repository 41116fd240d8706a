"""The output folder: whole shards, the rows that failed, and what is needed to continue.

A block is done when its shard is there. Its failed rows are written before, and both take their
names only when they are on the disk, so a kill at any moment leaves whole blocks or nothing.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import TypeAdapter
from pydantic_core import to_json

from app.bulk.manifest import Manifest, read_manifest, refuse_changes, write_manifest
from app.bulk.problems import Unusable
from app.durable import replacing, write_bytes

MANIFEST, SUMMARY, FAILED, WORK, LOCK = (
    "manifest.json",
    "summary.json",
    "failed.jsonl",
    "work",
    ".lock",
)
FORMATS = ("jsonl", "parquet")
DIGITS = 6


class Folder:
    def __init__(self, path: Path, kind: str) -> None:
        self.path = path
        self.manifest = path / MANIFEST
        self.work = path / WORK
        self._kind = kind

    def shard(self, block: int) -> Path:
        return self.path / f"part-{block:0{DIGITS}}.{self._kind}"

    def failures(self, block: int) -> Path:
        return self.work / f"failed-{block:0{DIGITS}}.jsonl"

    def is_done(self, block: int) -> bool:
        return self.shard(block).exists()

    def write(
        self,
        block: int,
        results: Sequence[Mapping[str, Any]],
        failures: Sequence[Mapping[str, Any]],
    ) -> None:
        # A service may answer otherwise than before the kill.
        self.failures(block).unlink(missing_ok=True)
        if failures:
            with replacing(self.failures(block)) as stream:
                write_lines(stream, failures)
        with replacing(self.shard(block)) as stream:
            if self._kind == "parquet":
                from app.bulk.tables import write_table  # noqa: PLC0415 (the extra)

                write_table(stream, results)
            else:
                write_lines(stream, results)

    def finish(self, rows: int) -> dict[str, int]:
        """One file of failed rows if there are any, and a summary."""
        failed = 0
        if parts := sorted(self.work.glob("failed-*.jsonl")):
            with replacing(self.path / FAILED) as stream:
                for part in parts:
                    content = part.read_bytes()
                    failed += content.count(b"\n")
                    stream.write(content)
        summary = {"rows": rows, "ranked": rows - failed, "failed": failed}
        write_bytes(self.path / SUMMARY, to_json(summary, indent=2))
        return summary

    def summary(self) -> dict[str, int] | None:
        """None as long as the run is not finished."""
        path = self.path / SUMMARY
        return (
            TypeAdapter(dict[str, int]).validate_json(path.read_bytes()) if path.exists() else None
        )

    def tidy(self) -> None:
        """Of a finished run, only the results and what they mean are kept."""
        shutil.rmtree(self.work)

    def prepare(self) -> None:
        self.work.mkdir(exist_ok=True)

    def begin_or_continue(self, manifest: Manifest) -> None:
        before = read_manifest(self.manifest)
        if before is None:
            write_manifest(self.manifest, manifest)
        else:
            refuse_changes(self.manifest, before, manifest)

    def clear(self) -> None:
        """Remove what an earlier run wrote and nothing else, the manifest last."""
        for name in (SUMMARY, FAILED):
            (self.path / name).unlink(missing_ok=True)
        for kind in FORMATS:
            for part in self.path.glob(f"part-*.{kind}"):
                part.unlink()
        shutil.rmtree(self.work, ignore_errors=True)
        self.manifest.unlink(missing_ok=True)


def write_lines(stream: BinaryIO, rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        stream.write(to_json(row))
        stream.write(b"\n")


@contextmanager
def opened(path: Path, kind: str) -> Iterator[Folder]:
    """The folder, which no other process writes meanwhile."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / LOCK).open("wb")
    except OSError as error:
        raise Unusable(f"{path}: cannot be written: {error.strerror or error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Unusable(f"{path}: another process is writing to this folder") from error
        folder = Folder(path, kind)
        refuse_foreign(folder)
        yield folder


def refuse_foreign(folder: Folder) -> None:
    """A folder that holds something else is most likely a slip in the command."""
    names = {entry.name for entry in folder.path.iterdir()} - {LOCK, WORK, f"{MANIFEST}.new"}
    if names and not folder.manifest.exists():
        raise Unusable(f"{folder.path}: is not empty, and not the output of rerankd batch")
