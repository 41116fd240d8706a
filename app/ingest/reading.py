"""Files to documents: checked before they are read, and cleaned afterwards."""

from __future__ import annotations

import re
import stat
from pathlib import Path

from app.ingest.document import FileDocument, Section, Unreadable, reason_of
from app.ingest.readers import BY_SUFFIX
from app.ingest.readers.file_reader import clean

# A larger file is hardly text; reading takes a few times its size in memory.
MAX_MB = 64
# Each chunk of a section repeats its title.
MAX_TITLE_CHARACTERS = 1_000
# Code is indented less than this.
MAX_INDENT = 40

BLANKS = re.compile(rf"[^\S\n]{{{MAX_INDENT + 1},}}")
EMPTY_LINES = re.compile(r"\n(?:[^\S\n]*\n){2,}")


def read_file(path: Path, max_mb: int = MAX_MB) -> list[FileDocument]:
    reader = BY_SUFFIX.get(path.suffix.lower())
    if reader is None:
        raise Unreadable(path, f"is none of {', '.join(BY_SUFFIX)}")
    if clean(str(path)) != str(path):
        raise Unreadable(path, "has a name that is not UTF-8, so nothing could cite it")
    try:
        check_file(path, max_mb)
        documents = [cleaned(document) for document in reader.read(path)]
    except OSError as error:
        raise Unreadable(path, reason_of(error)) from error
    except UnicodeDecodeError as error:
        raise Unreadable(path, "is not UTF-8 text") from error
    if not any(section.text.strip() for document in documents for section in document.sections):
        raise Unreadable(path, "holds no text")
    return documents


def check_file(path: Path, max_mb: int) -> None:
    """Before it is opened: a pipe would wait for its writer."""
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable(path, "is not a regular file")
    if status.st_size > max_mb * 2**20:
        size = status.st_size / 2**20
        raise Unreadable(path, f"has {size:.1f} MB, more than {max_mb} (--max-file-mb)")


def cleaned(document: FileDocument) -> FileDocument:
    metadata = document.metadata.items()
    return FileDocument(
        clean(document.name),
        [
            Section(clean(section.title)[:MAX_TITLE_CHARACTERS], collapsed(clean(section.text)))
            for section in document.sections
        ],
        {
            clean(name): clean(value) if isinstance(value, str) else value
            for name, value in metadata
        },
    )


def collapsed(text: str) -> str:
    """Without long runs of space: no token counts them, and a chunk would be of any length."""
    return EMPTY_LINES.sub("\n\n", BLANKS.sub(" " * MAX_INDENT, text))
