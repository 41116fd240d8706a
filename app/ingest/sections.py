"""A text by its headings: `# Like this`, outside of code."""

from __future__ import annotations

import re

from app.ingest.document import Section

HEADING = re.compile(r"(#{1,6})\s+(.*)")
FENCE = re.compile(r"\s*(```|~~~)")
GAPS = re.compile(r"\n\s*\n")
MAX_HEADING_CHARACTERS = 200  # each section below it repeats it


class Outline:
    """Sections as they come: a heading ends the last one, and those of its level and below."""

    def __init__(self) -> None:
        self.sections: list[Section] = []
        self._titles: list[tuple[int, str]] = []
        self._parts: list[str] = []

    def heading(self, level: int, title: str) -> None:
        self.end()
        self._titles = [one for one in self._titles if one[0] < level]
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


def by_headings(text: str) -> list[Section]:
    outline, fence = Outline(), ""
    for line in text.splitlines():
        found = FENCE.match(line)
        heading = None if fence or found else HEADING.fullmatch(line)
        if found and fence in ("", found[1]):
            fence = "" if fence else found[1]
        if heading:
            outline.heading(len(heading[1]), heading[2].rstrip("#").rstrip())
        else:
            outline.add(f"{line}\n")
    return outline.end()
