"""Lines appended to a file: each is whole and on the disk, or it is not in the file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.durable import sync


class FileFull(Exception):
    """The line would make the file larger than it may be."""


class LineFile:
    """A file that one process appends to, one line at a time."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Fails with OSError where the file cannot be written."""
        self._path = path
        self._max_bytes = max_bytes
        with self._opened() as descriptor:
            os.fsync(descriptor)
        # The name of a new file reaches the disk with its folder; some file systems refuse that.
        with suppress(OSError):
            sync(path.parent)

    def append(self, line: bytes) -> None:
        """After a return the line is on the disk; after an error nothing of it is left."""
        with self._opened() as descriptor:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                # The process ended in the middle of the previous line.
                line = b"\n" + line
            if size + len(line) > self._max_bytes:
                raise FileFull(f"{self._path.name} holds {size} of {self._max_bytes} bytes")
            write_whole(descriptor, size, line)

    @contextmanager
    def _opened(self) -> Iterator[int]:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def write_whole(descriptor: int, size: int, line: bytes) -> None:
    """At the end of a file of `size` bytes. A disk that fills up takes some bytes, then refuses."""
    written = 0
    try:
        while written < len(line):
            written += os.write(descriptor, line[written:])
        os.fsync(descriptor)
    except OSError:
        with suppress(OSError):
            # Unless another process wrote meanwhile.
            if os.fstat(descriptor).st_size == size + written:
                os.ftruncate(descriptor, size)
        raise
