"""HTML: a section for each heading. Its library comes with the extra `ingest`."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from app.ingest.document import FileDocument, Outline, Section, Unreadable
from app.ingest.readers.file_reader import FileReader

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

SILENT = frozenset(
    ("script", "style", "noscript", "template", "nav", "svg", "iframe", "form", "button")
)
INLINE = re.compile(
    "a|abbr|b|bdi|cite|code|del|dfn|em|font|i|ins|kbd|label|mark|q|s|samp|small|span|strong|sub|sup"
    "|time|u|var|wbr"
)
SPACE = re.compile(r"\s+")
CHARSET = re.compile(
    rb"(?:<meta[^>]{1,500}charset|<\?xml[^>]{1,500}encoding)\s*=\s*+(?:[\"']\s*+)?([\w.:-]+)",
    re.IGNORECASE,
)
# A page names its charset in its first bytes; browsers look at 1024.
CHARSET_BYTES = 4096
# As browsers do: windows-1252 has curly quotes and € too.
READ_AS = {"iso-8859-1": "windows-1252"}


def read(path: Path) -> list[FileDocument]:
    """Sections by h1 to h6; the page's title is the name of what comes before the first."""
    from selectolax.lexbor import LexborHTMLParser  # noqa: PLC0415 (the extra)

    page = LexborHTMLParser(decoded(path).replace("\0", ""))
    title = page.css_first("title")
    name = one_line(title.text()) if title else ""
    sections = outline_of(page.body) if page.body is not None else []
    return [FileDocument("", [Section(part.title or name, part.text) for part in sections])]


def decoded(path: Path) -> str:
    """As UTF-8, or else in the charset that the page declares."""
    content = path.read_bytes()
    match = CHARSET.search(content, 0, CHARSET_BYTES)
    declared = match[1].decode().lower() if match else "utf-8"
    for charset in ("utf-8-sig", READ_AS.get(declared, declared)):
        with suppress(UnicodeError, LookupError):
            return content.decode(charset)
    raise Unreadable(path, "is not UTF-8 text, and names no charset that it is in")


def outline_of(body: LexborNode) -> list[Section]:
    outline = Outline()
    waiting: list[tuple[LexborNode | str, bool]] = [(body, False)]
    while waiting:  # no recursion: a page may nest to any depth
        node, kept = waiting.pop()
        if isinstance(node, str):
            outline.add(node)
        elif node.is_text_node:
            text = node.text_content or ""
            outline.add(text if kept else SPACE.sub(" ", text))
        elif node.is_element_node and node.tag not in SILENT:
            tag = node.tag or ""
            if re.fullmatch("h[1-6]", tag):
                outline.heading(int(tag[1]), one_line(node.text()))
                continue
            border = "" if INLINE.fullmatch(tag) else "\n" if tag in ("br", "td", "th") else "\n\n"
            inner = [(child, kept or tag == "pre") for child in node.iter(include_text=True)]
            outline.add(border)
            waiting += [(border, False), *reversed(inner)]
    return outline.end()


def one_line(text: str) -> str:
    return " ".join(text.split())


READER = FileReader((".html", ".htm"), read)
