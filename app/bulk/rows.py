"""The rows of an input file, one at a time: a row that cannot be read does not stop the others."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pydantic_core import from_json

from app.bulk.problems import Unusable
from app.errors import InvalidRequest
from app.evaluation.data.reading import open_bytes

PARQUET = ".parquet"
JSON_LINES = (".jsonl", ".ndjson")
PACKED = (".gz", ".xz")
SKIPPED_AT_ONCE = 1_048_576
BOM = b"\xef\xbb\xbf"

Id = str | int


class BadRow(InvalidRequest):
    """A row of the input that cannot be ranked; the text is the reason."""

    def __init__(self, reason: str, field: str) -> None:
        super().__init__(reason, field=field)


@dataclass(frozen=True, slots=True)
class RawRow:
    """A row as it is in the file: `number` counts lines or, in Parquet, rows from 1."""

    number: int
    read: Callable[[], Any]

    def fields(self) -> dict[str, Any]:
        value = self.read()
        if not isinstance(value, dict):
            raise BadRow("the row must be a JSON object", "row")
        return value


def id_of(fields: dict[str, Any], number: int) -> Id:
    """The row's own id; without one, its number."""
    value = fields.get("id")
    if value is None:
        return number
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise BadRow("id: must be a string or a whole number", "id")
    return value


def count_of(fields: dict[str, Any]) -> int:
    """How many documents a row has, before anything is known of them."""
    documents = fields.get("documents", fields.get("candidates"))
    return len(documents) if isinstance(documents, list) else 0


def is_parquet(path: Path) -> bool:
    return path.suffix == PARQUET


def unit_of(path: Path) -> str:
    """What `RawRow.number` counts in this file."""
    return "row" if is_parquet(path) else "line"


def refuse_unknown(path: Path) -> None:
    name = path.name
    for suffix in PACKED:
        name = name.removesuffix(suffix)
    if not is_parquet(path) and not name.endswith(JSON_LINES):
        endings = ", ".join([*JSON_LINES, PARQUET])
        packed = " or ".join(PACKED)
        raise Unusable(f"{path}: unknown ending; known: {endings}; JSON lines also with {packed}")


def read_rows(path: Path, max_bytes: int) -> Iterator[RawRow]:
    """Memory holds one row; of JSON lines, a row longer than `max_bytes` is a bad row."""
    refuse_unknown(path)
    if is_parquet(path):
        from app.bulk.tables import read_table  # noqa: PLC0415 (the extra)

        yield from read_table(path)
    else:
        yield from read_lines(path, max_bytes)


def read_lines(path: Path, max_bytes: int) -> Iterator[RawRow]:
    number = 0
    try:
        with open_bytes(path) as stream:
            while line := stream.readline(max_bytes + 1):
                number += 1
                if len(line) > max_bytes:
                    skip_line(stream, line)
                    yield RawRow(number, lambda: refuse_long(max_bytes))
                elif line.strip():
                    content = line.removeprefix(BOM) if number == 1 else line
                    yield RawRow(number, lambda content=content: parse(content))  # type: ignore[misc]
    except (lzma.LZMAError, EOFError, gzip.BadGzipFile) as error:
        raise Unusable(f"{path}, line {number + 1}: cannot be decompressed: {error}") from error
    except OSError as error:
        raise Unusable(f"{path}: cannot be read: {error.strerror or error}") from error


def skip_line(stream: BinaryIO, line: bytes) -> None:
    while line and not line.endswith(b"\n"):
        line = stream.readline(SKIPPED_AT_ONCE)


def refuse_long(max_bytes: int) -> None:
    raise BadRow(f"the row has more than {max_bytes} bytes (max_body_bytes)", "row")


def parse(line: bytes) -> Any:
    try:
        return from_json(line, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        raise BadRow(f"not valid JSON: {error}", "row") from error
