"""What is read from files, before it is cut."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple


class Section(NamedTuple):
    """`title` is the path of headings, or a page; empty where there is none."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Document:
    """`name` tells the documents of one file apart; empty where the file is one document."""

    name: str
    sections: Sequence[Section]
    metadata: Mapping[str, Any] = field(default_factory=dict)


class Unreadable(Exception):
    """A file or a folder that cannot be read; the others can."""

    def __init__(self, path: Path, reason: str, line: int | None = None) -> None:
        name = os.fsencode(path).decode(errors="replace")  # one that is not UTF-8 can be told too
        where = name if line is None else f"{name}, line {line}"
        super().__init__(f"{where}: {reason}")
        self.path = path
        self.reason = reason
        self.line = line


def reason_of(error: OSError) -> str:
    return error.strerror or type(error).__name__
