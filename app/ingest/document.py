"""What is read from files, before it is cut."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

GAPS = re.compile(r"\n\s*\n")
# Each section below a heading repeats it.
MAX_HEADING_CHARACTERS = 200


class Section(NamedTuple):
    """`title` is the path of headings, or a page; empty where there is none."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class FileDocument:
    """`name` identifies a document within its file; empty where the file is one document."""

    name: str
    sections: Sequence[Section]
    metadata: Mapping[str, Any] = field(default_factory=dict)


class Outline:
    """Collects sections: a heading ends the section before it, and those below its level."""

    def __init__(self) -> None:
        self.sections: list[Section] = []
        self._titles: list[tuple[int, str]] = []
        self._parts: list[str] = []

    def heading(self, level: int, title: str) -> None:
        self.end()
        self._titles = [entry for entry in self._titles if entry[0] < level]
        self._titles.append((level, title[:MAX_HEADING_CHARACTERS]))

    def add(self, text: str) -> None:
        self._parts.append(text)

    def end(self) -> list[Section]:
        text = GAPS.sub("\n\n", "".join(self._parts)).strip()
        if text:
            path = " > ".join(title for _, title in self._titles if title)
            self.sections.append(Section(path, text))
        self._parts.clear()
        return self.sections


class Unreadable(Exception):
    """A file or a folder that cannot be read; the others can."""

    def __init__(self, path: Path, reason: str, line: int | None = None) -> None:
        name = os.fsencode(path).decode(
            errors="replace"
        )  # a name that is not UTF-8 can be reported too
        where = name if line is None else f"{name}, line {line}"
        super().__init__(f"{where}: {reason}")
        self.path = path
        self.reason = reason
        self.line = line


def reason_of(error: OSError) -> str:
    return error.strerror or type(error).__name__
