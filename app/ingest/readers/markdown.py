"""Markdown: a section for each heading, `# Like this`, outside of code."""

from __future__ import annotations

import re
from pathlib import Path

from app.ingest.document import FileDocument, Outline, Section
from app.ingest.readers.file_reader import FileReader, text_of

HEADING = re.compile(r"(#{1,6})\s+(.*)")
FENCE = re.compile(r"\s*(```|~~~)")


def read(path: Path) -> list[FileDocument]:
    return [FileDocument("", by_headings(text_of(path)))]


def by_headings(text: str) -> list[Section]:
    outline, open_fence = Outline(), ""
    for line in text.splitlines():
        fence = FENCE.match(line)
        heading = None if open_fence or fence else HEADING.fullmatch(line)
        if fence and open_fence in ("", fence[1]):
            open_fence = "" if open_fence else fence[1]
        if heading:
            outline.heading(len(heading[1]), heading[2].rstrip("#").rstrip())
        else:
            outline.add(f"{line}\n")
    return outline.end()


READER = FileReader((".md", ".markdown"), read)
