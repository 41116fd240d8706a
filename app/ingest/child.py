"""Reads files in a process of its own, which may be killed: `python -m app.ingest.child`.

A line of standard input is a path, in hexadecimal. Each answer on standard output is the number
of its bytes, eight of them, and then JSON: `documents`, or `unreadable`, `missing` or `memory`.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from pydantic_core import from_json, to_json

from app.ingest.document import FileDocument, Section, Unreadable
from app.ingest.reading import read_file

# A child without a parent ends too, so many seconds after the parent would have ended it.
ORPHAN_SECONDS = 5
LENGTH_BYTES = 8
# Of a file, its rows included: the parent keeps them all at once.
MAX_SECTIONS = 1_000_000


class ReaderOutOfMemory(Unreadable):
    """The process that read it cannot be used again."""


def main() -> None:
    max_mb, seconds, memory_mb = (int(word) for word in sys.argv[1:])
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is not an answer
    logging.disable()  # pypdf warns of each oddity of a broken file; the reason comes as the answer
    bound_memory(memory_mb * 2**20)
    for path in paths(sys.stdin.buffer):
        signal.alarm(seconds + ORPHAN_SECONDS)
        answer = answer_of(path, max_mb)
        signal.alarm(0)
        answers.write(len(answer).to_bytes(LENGTH_BYTES, "big"))
        answers.write(answer)
        answers.flush()


def bound_memory(size: int) -> None:
    with suppress(ImportError, ValueError, OSError):  # not on Windows; or it is lower already
        import resource  # noqa: PLC0415 (not on every system)

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (size, size))


def paths(lines: BinaryIO) -> Iterator[Path]:
    for line in lines:
        yield Path(os.fsdecode(bytes.fromhex(line.decode())))


def answer_of(path: Path, max_mb: int) -> bytes:
    content: dict[str, Any]
    try:
        documents = read_file(path, max_mb)
        check_sections(path, documents)
        return to_json(
            {"documents": [(part.name, part.sections, part.metadata) for part in documents]}
        )
    except Unreadable as error:
        content = {"unreadable": error.reason, "line": error.line}
    except ModuleNotFoundError as error:
        content = {"missing": error.name}
    except MemoryError:
        content = {"memory": True}
    return to_json(content)


def check_sections(path: Path, documents: Sequence[FileDocument]) -> None:
    if sum(len(document.sections) for document in documents) > MAX_SECTIONS:
        raise Unreadable(path, f"has more than {MAX_SECTIONS} sections or rows: split it")


def documents_of(answer: bytes, path: Path) -> list[FileDocument]:
    """What `read_file` returned or raised in the child."""
    match from_json(answer):
        case {"unreadable": reason, "line": line}:
            raise Unreadable(path, reason, line)
        case {"missing": name}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        case {"memory": True}:
            raise ReaderOutOfMemory(path, "needs too much memory to be read")
        case content:
            return [
                FileDocument(name, [Section(*section) for section in sections], metadata)
                for name, sections, metadata in content["documents"]
            ]


if __name__ == "__main__":
    main()
