"""PDF: a section for each page. Its library comes with the extra `ingest`."""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten

from app.ingest.document import FileDocument, Section, Unreadable
from app.ingest.readers.file_reader import FileReader

# A file of a few bytes can claim to have millions.
MAX_PAGES = 10_000


def read(path: Path) -> list[FileDocument]:
    from pypdf import PdfReader  # noqa: PLC0415 (the extra)

    try:
        document = PdfReader(path)
        count = len(document.pages)
        pages = [page.extract_text() for page in document.pages] if count <= MAX_PAGES else []
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a PDF can contain anything, and pypdf raises errors of any kind
        reason = shorten(f"{type(error).__name__}: {error}", 200)
        raise Unreadable(path, f"is not a PDF that can be read ({reason})") from error
    if count > MAX_PAGES:
        raise Unreadable(path, f"has {count} pages, more than {MAX_PAGES}: split it")
    sections = [Section(f"page {number}", text) for number, text in enumerate(pages, 1)]
    return [FileDocument("", sections)]


READER = FileReader((".pdf",), read)
