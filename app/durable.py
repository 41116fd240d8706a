"""What was written is on the disk before it takes its name: a power cut leaves all or nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write beside `path`, which takes its place once it is whole, else is removed."""
    aside = path.with_name(f"{path.name}.new")
    try:
        with aside.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        rename(aside, path)
    except BaseException:
        with suppress(OSError):
            aside.unlink()
        raise


def write_bytes(path: Path, content: bytes) -> None:
    with replacing(path) as stream:
        stream.write(content)


def rename(path: Path, target: Path) -> None:
    """A file replaces another; a folder replaces only an empty folder."""
    path.replace(target)
    sync(target.parent)


def sync_tree(folder: Path) -> None:
    for inside, _, names in os.walk(folder):
        for name in names:
            sync(Path(inside, name))
        sync(Path(inside))


def sync(path: Path) -> None:
    """A file's content, or which names a folder holds."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
