"""Plain text: a file is one section."""

from __future__ import annotations

from pathlib import Path

from app.ingest.document import FileDocument, Section
from app.ingest.readers.file_reader import FileReader, text_of


def read(path: Path) -> list[FileDocument]:
    return [FileDocument("", [Section("", text_of(path))])]


READER = FileReader((".txt",), read)
