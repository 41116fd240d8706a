"""What a reader of files is, and how text is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.ingest.document import FileDocument

# PostgreSQL takes no zeros; PDFs contain halves of characters.
NO_TEXT = re.compile(r"[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class FileReader:
    """`suffixes` are in lower case; the first is the one that the documentation names."""

    suffixes: Sequence[str]
    read: Callable[[Path], list[FileDocument]]


def clean(text: str) -> str:
    return NO_TEXT.sub("", text)


def text_of(path: Path) -> str:
    return clean(path.read_text(encoding="utf-8-sig"))
