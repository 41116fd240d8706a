"""HTML and PDF to sections. Their libraries come with the extra `ingest`."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

from app.ingest.document import Document, Section, Unreadable
from app.ingest.sections import Outline

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

MAX_PAGES = 10_000  # of a PDF; one that claims to have millions takes a few bytes
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
CHARSET_BYTES = 4096  # of a page, in which it names its charset: browsers look at 1024
AS_BROWSERS = {"iso-8859-1": "windows-1252"}  # which has curly quotes and €


def read_html(path: Path) -> list[Document]:
    """Sections by h1 to h6; the page's title is the name of what comes before the first."""
    from selectolax.lexbor import LexborHTMLParser  # noqa: PLC0415 (the extra)

    page = LexborHTMLParser(decoded(path).replace("\0", ""))
    title = page.css_first("title")
    name = one_line(title.text()) if title else ""
    sections = outline_of(page.body) if page.body is not None else []
    return [Document("", [Section(one.title or name, one.text) for one in sections])]


def decoded(path: Path) -> str:
    """As UTF-8, or else as the page itself says."""
    content = path.read_bytes()
    found = CHARSET.search(content, 0, CHARSET_BYTES)
    said = found[1].decode().lower() if found else "utf-8"
    for charset in ("utf-8-sig", AS_BROWSERS.get(said, said)):
        with suppress(UnicodeError, LookupError):
            return content.decode(charset)
    raise Unreadable(path, "is not UTF-8 text, and names no charset that it is in")


def outline_of(body: LexborNode) -> list[Section]:
    outline = Outline()
    waiting: list[tuple[LexborNode | str, bool]] = [(body, False)]
    while waiting:  # no recursion: pages nest as deep as they like
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


def read_pdf(path: Path) -> list[Document]:
    """A section a page."""
    from pypdf import PdfReader  # noqa: PLC0415 (the extra)

    try:
        document = PdfReader(path)
        count = len(document.pages)
        pages = [page.extract_text() for page in document.pages] if count <= MAX_PAGES else []
    except (OSError, MemoryError):
        raise
    except Exception as error:  # of every kind, for what is in a PDF is anybody's
        reason = shorten(f"{type(error).__name__}: {error}", 200)
        raise Unreadable(path, f"is no PDF that can be read ({reason})") from error
    if count > MAX_PAGES:
        raise Unreadable(path, f"has {count} pages, more than {MAX_PAGES}: split it")
    sections = [Section(f"page {place}", text) for place, text in enumerate(pages, 1)]
    return [Document("", sections)]
