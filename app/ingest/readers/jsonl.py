"""JSON lines: a document a line."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from pydantic_core import to_json

from app.ingest.document import FileDocument, Section, Unreadable
from app.ingest.readers.file_reader import FileReader, text_of
from app.jsonl import NotJson, read_values

MAX_NAME_CHARACTERS = 1_000
# As JSON; each chunk of a row repeats them.
MAX_METADATA_BYTES = 16_384


class BadRow(Exception):
    """What is wrong with one line."""


def read(path: Path) -> list[FileDocument]:
    """A line is an object: text, and optionally title, id (or _id) and metadata."""
    documents: dict[str, FileDocument] = {}
    try:
        for number, value in read_values(enumerate(text_of(path).split("\n"), 1)):
            try:
                document = row(value, number)
            except BadRow as error:
                raise Unreadable(path, str(error), number) from error
            if document.name in documents:
                raise Unreadable(path, f"id {document.name} occurs twice", number)
            documents[document.name] = document
    except NotJson as error:
        raise Unreadable(path, "is not valid JSON", error.line) from error
    return list(documents.values())


def row(value: Any, number: int) -> FileDocument:
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        raise BadRow('is not an object with a "text"')
    title, name = value.get("title") or "", value.get("id", value.get("_id", number))
    if not isinstance(title, str) or not isinstance(name, str | int) or isinstance(name, bool):
        raise BadRow("title must be a text, and id a text or a number")
    if len(str(name)) > MAX_NAME_CHARACTERS:
        raise BadRow(f"id has more than {MAX_NAME_CHARACTERS} characters")
    facts = value.get("metadata") or {}
    return FileDocument(str(name), [Section(title, value["text"])], checked(facts))


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


READER = FileReader((".jsonl",), read)
