"""Files to documents, by their ending."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import from_json

from app.answer.ingest.document import Document, Section, Unreadable
from app.answer.ingest.pages import read_html, read_pdf
from app.answer.ingest.sections import by_headings

NO_TEXT = re.compile(r"[\0\ud800-\udfff]")


class BadRow(Exception):
    """What is wrong with one line."""


def read_file(path: Path) -> list[Document]:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise Unreadable(path, f"is none of {', '.join(READERS)}")
    if clean(str(path)) != str(path):
        raise Unreadable(path, "has a name that is not UTF-8, so nothing could cite it")
    try:
        documents = [cleaned(one) for one in reader(path)]
    except OSError as error:
        raise Unreadable(path, reason_of(error)) from error
    except UnicodeDecodeError as error:
        raise Unreadable(path, "is not UTF-8 text") from error
    if not any(section.text.strip() for one in documents for section in one.sections):
        raise Unreadable(path, "holds no text")
    return documents


def cleaned(document: Document) -> Document:
    facts = document.metadata.items()
    return Document(
        clean(document.name),
        [Section(clean(one.title), clean(one.text)) for one in document.sections],
        {clean(name): clean(one) if isinstance(one, str) else one for name, one in facts},
    )


def clean(text: str) -> str:
    """Without what PostgreSQL refuses, and without halves of characters, as PDFs have them."""
    return NO_TEXT.sub("", text)


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


class Found(NamedTuple):
    files: list[Path]
    closed: list[Unreadable]  # folders of which nobody knows what lies in them


def find_files(paths: Sequence[Path]) -> Found:
    """Those that can be read, each once; what is hidden is left out of a folder."""
    files: dict[Path, None] = {}
    closed: list[Unreadable] = []
    for given in paths:
        inside = sorted(walk(given, closed)) if given.is_dir() else [given]
        files.update(dict.fromkeys(inside))
    return Found(list(files), closed)


def walk(given: Path, closed: list[Unreadable]) -> Iterator[Path]:
    def note(error: OSError) -> None:
        closed.append(Unreadable(Path(error.filename), reason_of(error)))

    for folder, folders, names in os.walk(given, onerror=note):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = (Path(folder, name) for name in names if not name.startswith("."))
        yield from (path for path in paths if path.suffix.lower() in READERS and is_file(path))


def is_file(path: Path) -> bool:
    """One that cannot even be looked at is taken for a file: reading it tells the reason."""
    try:
        return path.is_file()
    except OSError:
        return True


def reason_of(error: OSError) -> str:
    return error.strerror or type(error).__name__
