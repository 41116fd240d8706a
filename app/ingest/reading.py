"""Files to documents, by their ending."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from app.ingest.document import Document, Section, Unreadable, reason_of
from app.ingest.pages import read_html, read_pdf
from app.ingest.sections import by_headings

MAX_MB = 64  # a file of more is hardly text; what it makes of memory is a few times as much
MAX_TITLE_CHARACTERS = 1_000  # each chunk below it repeats it
MAX_NAME_CHARACTERS = 1_000
MAX_METADATA_BYTES = 16_384  # of a row, as JSON; each of its chunks repeats them
MAX_INDENT = 40  # deeper than code is indented

NO_TEXT = re.compile(r"[\0\ud800-\udfff]")
BLANKS = re.compile(rf"[^\S\n]{{{MAX_INDENT + 1},}}")
EMPTY_LINES = re.compile(r"\n(?:[^\S\n]*\n){2,}")


class BadRow(Exception):
    """What is wrong with one line."""


def read_file(path: Path, max_mb: int = MAX_MB) -> list[Document]:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise Unreadable(path, f"is none of {', '.join(READERS)}")
    if clean(str(path)) != str(path):
        raise Unreadable(path, "has a name that is not UTF-8, so nothing could cite it")
    try:
        check_file(path, max_mb)
        documents = [cleaned(one) for one in reader(path)]
    except OSError as error:
        raise Unreadable(path, reason_of(error)) from error
    except UnicodeDecodeError as error:
        raise Unreadable(path, "is not UTF-8 text") from error
    if not any(section.text.strip() for one in documents for section in one.sections):
        raise Unreadable(path, "holds no text")
    return documents


def check_file(path: Path, max_mb: int) -> None:
    """Before it is opened: a pipe would wait for its writer."""
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise Unreadable(path, "is no regular file")
    if facts.st_size > max_mb * 2**20:
        size = facts.st_size / 2**20
        raise Unreadable(path, f"has {size:.1f} MB, more than {max_mb} (--max-file-mb)")


def cleaned(document: Document) -> Document:
    facts = document.metadata.items()
    return Document(
        clean(document.name),
        [
            Section(clean(one.title)[:MAX_TITLE_CHARACTERS], collapsed(clean(one.text)))
            for one in document.sections
        ],
        {clean(name): clean(one) if isinstance(one, str) else one for name, one in facts},
    )


def clean(text: str) -> str:
    """Without what PostgreSQL refuses, and without halves of characters, as PDFs have them."""
    return NO_TEXT.sub("", text)


def collapsed(text: str) -> str:
    """Without long runs of space: no token counts them, and a chunk would be of any length."""
    return EMPTY_LINES.sub("\n\n", BLANKS.sub(" " * MAX_INDENT, text))


def read_plain(path: Path) -> list[Document]:
    return [Document("", [Section("", text_of(path))])]


def read_markdown(path: Path) -> list[Document]:
    return [Document("", by_headings(text_of(path)))]


def text_of(path: Path) -> str:
    return clean(path.read_text(encoding="utf-8-sig"))


def read_rows(path: Path) -> list[Document]:
    """One JSON object a line: text, and if you like title, id (or _id) and metadata."""
    documents: dict[str, Document] = {}
    for place, line in enumerate(text_of(path).split("\n"), 1):
        if line.strip():
            try:
                document = row(from_json(line), place)
            except BadRow as error:
                raise Unreadable(path, str(error), place) from error
            except ValueError as error:
                raise Unreadable(path, "is not valid JSON", place) from error
            if document.name in documents:
                raise Unreadable(path, f"id {document.name} occurs twice", place)
            documents[document.name] = document
    return list(documents.values())


def row(value: Any, place: int) -> Document:
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise BadRow('is no object with a "text"')
    title, name = value.get("title") or "", value.get("id", value.get("_id", place))
    if not isinstance(title, str) or not isinstance(name, str | int) or isinstance(name, bool):
        raise BadRow("title must be a text, and id a text or a number")
    if len(str(name)) > MAX_NAME_CHARACTERS:
        raise BadRow(f"id has more than {MAX_NAME_CHARACTERS} characters")
    facts = value.get("metadata") or {}
    return Document(str(name), [Section(title, value["text"])], checked(facts))


def checked(facts: Any) -> Mapping[str, Any]:
    if not isinstance(facts, dict):
        raise BadRow("metadata must be an object")
    for name, value in facts.items():
        if not isinstance(value, str | int | float | bool):
            raise BadRow(f"metadata.{name} must be a text, a number or true or false")
        if isinstance(value, float) and not isfinite(value):
            raise BadRow(f"metadata.{name} must be a finite number")
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise BadRow(f"metadata.{name} must fit into 64 bits")
    if len(to_json(facts)) > MAX_METADATA_BYTES:
        raise BadRow(f"metadata has more than {MAX_METADATA_BYTES} bytes")
    return facts


READERS: dict[str, Callable[[Path], list[Document]]] = {
    ".txt": read_plain,
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".html": read_html,
    ".htm": read_html,
    ".pdf": read_pdf,
    ".jsonl": read_rows,
}
