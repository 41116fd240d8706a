"""Reads files in another process, so that no file can stop an ingest or fill the memory."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import IO, NamedTuple, Self

from app.ingest.child import LENGTH_BYTES, ReaderOutOfMemory, documents_of
from app.ingest.document import FileDocument, Unreadable
from app.ingest.reading import MAX_MB

# A thousand ordinary pages of a PDF take less.
MAX_SECONDS = 120
ADDRESS_SPACE_MB = 2_048
# Of an answer's size to the file's: a PDF can contain compressed text.
MAX_GROWTH = 4
PIECE_BYTES = 2**20
ENDING_SECONDS = 5.0
SECRETS = "RERANKD_"


class FileLimits(NamedTuple):
    max_mb: int = MAX_MB
    seconds: int = MAX_SECONDS
    memory_mb: int = ADDRESS_SPACE_MB


class ReaderProcess:
    """The process starts with the first file, and again after a file that ended it."""

    def __init__(self, limits: FileLimits | None = None) -> None:
        self._limits = limits or FileLimits()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def read(self, path: Path) -> list[FileDocument]:
        try:
            return documents_of(self._request(path), path)
        except ReaderOutOfMemory as error:
            self._end()
            reason = f"needs more than {self._limits.memory_mb} MB of memory to be read"
            raise Unreadable(path, reason) from error

    def _request(self, path: Path) -> bytes:
        """After any error in here the process cannot be used again."""
        process = self._process = self._process or start(self._limits)
        deadline = time.monotonic() + self._limits.seconds
        max_mb = self._limits.max_mb * MAX_GROWTH
        try:
            send(process, path)
            size = int.from_bytes(receive(process, LENGTH_BYTES, deadline), "big")
            if size <= max_mb * 2**20:
                return receive(process, size, deadline)
            reason = f"holds more than {max_mb} MB of text ({MAX_GROWTH} times --max-file-mb)"
        except TimeoutError:
            reason = f"takes more than {self._limits.seconds} s to be read (--max-file-seconds)"
        except (EOFError, BrokenPipeError):
            reason = f"cannot be read: {how_it_ended(process)}"
        self._end()
        raise Unreadable(path, reason)

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


def start(limits: FileLimits) -> subprocess.Popen[bytes]:
    """With the paths of this process, wherever it was started; without its keys."""
    environment = {name: value for name, value in os.environ.items() if SECRETS not in name}
    environment["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)  # noqa: PTH109
    words = ("-P", "-m", "app.ingest.child", *map(str, limits))
    return subprocess.Popen(  # noqa: S603 (our own module)
        [sys.executable, *words],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the ingest, which then ends its child
    )


def send(process: subprocess.Popen[bytes], path: Path) -> None:
    lines = piped(process.stdin)
    lines.write(os.fsencode(path).hex().encode() + b"\n")
    lines.flush()


def receive(process: subprocess.Popen[bytes], size: int, deadline: float) -> bytes:
    pipe = piped(process.stdout).fileno()
    content = bytearray()
    while len(content) < size:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([pipe], [], [], left)[0]:
            raise TimeoutError
        piece = os.read(pipe, min(PIECE_BYTES, size - len(content)))
        if not piece:
            raise EOFError
        content += piece
    return bytes(content)


def piped(stream: IO[bytes] | None) -> IO[bytes]:
    assert stream is not None  # noqa: S101 (both are pipes)
    return stream


def how_it_ended(process: subprocess.Popen[bytes]) -> str:
    try:
        code = process.wait(ENDING_SECONDS)
    except subprocess.TimeoutExpired:
        return "its reader closed its answer"
    if code < 0:
        return f"its reader was ended by {signal.Signals(-code).name}"
    return f"its reader ended with exit code {code}"
