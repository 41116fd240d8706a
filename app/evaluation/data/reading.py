"""Reads files of JSON lines or tabs, also compressed; errors name the file and the line."""

from __future__ import annotations

import codecs
import gzip
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from app.evaluation.problems import BadInput
from app.jsonl import NotJson, read_values

SUFFIXES = ("", ".xz", ".gz")


@dataclass(frozen=True, slots=True)
class Row:
    """One line that holds a JSON object."""

    path: Path
    line: int
    fields: dict[str, Any]

    def text(self, name: str) -> str:
        value = self.fields.get(name)
        if not isinstance(value, str) or not value.strip():
            raise self.bad(f"{name} must be a string that is not empty")
        return value

    def label(self, name: str) -> str:
        """An id: a text or a whole number."""
        value = self.fields.get(name)
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise self.bad(f"{name} must be an id: a string or a whole number")
        return str(value)

    def items(self, name: str) -> list[Any]:
        value = self.fields.get(name)
        if not isinstance(value, list):
            raise self.bad(f"{name} must be a list")
        return value

    def bad(self, reason: str) -> BadInput:
        return BadInput(self.path, self.line, reason)


def find(folder: Path, *names: str) -> Path | None:
    """The first of these files that exists, plain or compressed."""
    paths = (folder / f"{name}{suffix}" for name in names for suffix in SUFFIXES)
    return next((path for path in paths if path.is_file()), None)


def require(folder: Path, *names: str) -> Path:
    path = find(folder, *names)
    if path is None:
        raise BadInput(folder, None, f"contains no {' or '.join(names)} (or .xz, or .gz)")
    return path


def read_lines(path: Path, *, torn: bool = False) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with numbers from 1; `torn` accepts one cut inside a character."""
    number = 0
    try:
        with open_bytes(path) as stream:
            for number, raw in enumerate(stream, 1):
                content = raw.removeprefix(codecs.BOM_UTF8) if number == 1 else raw
                # Not final: the decoder then ignores an incomplete character at the end.
                line, _ = codecs.utf_8_decode(content.rstrip(b"\r\n"), "strict", not torn)
                if line.strip():
                    yield number, line
    except UnicodeDecodeError as error:
        raise BadInput(path, number, "not UTF-8 text") from error
    except (lzma.LZMAError, EOFError, gzip.BadGzipFile) as error:
        raise BadInput(path, number + 1, f"cannot be decompressed: {error}") from error
    except OSError as error:
        raise BadInput(path, None, f"cannot be read: {error.strerror or error}") from error


def open_bytes(path: Path) -> BinaryIO:
    if path.suffix == ".xz":
        return cast("BinaryIO", lzma.open(path))
    if path.suffix == ".gz":
        return cast("BinaryIO", gzip.open(path))
    return path.open("rb")


def read_rows(path: Path, torn: list[BadInput] | None = None) -> Iterator[Row]:
    """`torn` collects incomplete lines, which a killed process leaves."""
    lines = read_lines(path, torn=torn is not None)

    def keep(error: NotJson) -> None:
        if torn is not None:
            torn.append(BadInput(path, error.line, str(error)))

    try:
        for number, fields in read_values(lines, keep if torn is not None else None):
            if not isinstance(fields, dict):
                raise BadInput(path, number, "must be a JSON object")
            yield Row(path, number, fields)
    except NotJson as error:
        raise BadInput(path, error.line, str(error)) from error


def read_fields(
    path: Path, separator: str | None, counts: tuple[int, ...]
) -> Iterator[tuple[int, list[str]]]:
    """Lines of separated fields; `separator` None: any white space."""
    for number, line in read_lines(path):
        fields = [field.strip() for field in line.split(separator)]
        if len(fields) not in counts:
            wanted = " or ".join(str(count) for count in counts)
            kind = "tab-separated" if separator == "\t" else "separated"
            raise BadInput(path, number, f"has {len(fields)} {kind} fields, not {wanted}")
        yield number, fields
