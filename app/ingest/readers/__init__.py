"""The readers of files, by their suffixes. To add one: a file beside these, and a line below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.ingest.readers import html, jsonl, markdown, pdf, plain
from app.ingest.readers.file_reader import FileReader

READERS: Sequence[FileReader] = (
    plain.READER,
    markdown.READER,
    html.READER,
    pdf.READER,
    jsonl.READER,
)
BY_SUFFIX: Mapping[str, FileReader] = {
    suffix: reader for reader in READERS for suffix in reader.suffixes
}
