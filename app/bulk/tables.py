"""Rows of Parquet files, and shards of results as Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from app.bulk.problems import Unusable
from app.bulk.rows import RawRow

ROWS_AT_ONCE = 64

RESULT = pa.struct(
    [
        ("index", pa.int32()),
        ("relevance_score", pa.float64()),
        ("id", pa.string()),
        ("text", pa.string()),
    ]
)
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("results", pa.list_(RESULT)),
        ("total_tokens", pa.int64()),
        ("truncated_documents", pa.list_(pa.int32())),
        ("failed_documents", pa.list_(pa.int32())),
        ("warnings", pa.list_(pa.string())),
    ]
)


def read_table(path: Path) -> Iterator[RawRow]:
    """A few rows at a time; a column that is empty in a row is absent there."""
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=ROWS_AT_ONCE):
                for row in batch.to_pylist():
                    number += 1
                    fields = without_empty(row)
                    yield RawRow(number, lambda fields=fields: fields)  # type: ignore[misc]
    except (pa.ArrowException, OSError) as error:
        raise Unusable(f"{path}, row {number + 1}: cannot be read as Parquet: {error}") from error


def without_empty(value: Any) -> Any:
    """Objects without the keys that Parquet gives to every object and that this one lacks."""
    if isinstance(value, dict):
        return {key: without_empty(part) for key, part in value.items() if part is not None}
    if isinstance(value, list):
        return [without_empty(part) for part in value]
    return value


def write_table(stream: BinaryIO, rows: Sequence[Mapping[str, Any]]) -> None:
    """Results as the service renders them, in columns."""
    pq.write_table(pa.Table.from_pylist([as_columns(row) for row in rows], SCHEMA), stream)


def as_columns(row: Mapping[str, Any]) -> dict[str, Any]:
    usage = row["usage"]
    return {
        "id": str(row["id"]),
        "results": [as_result(result) for result in row["results"]],
        "total_tokens": usage["total_tokens"],
        "truncated_documents": usage.get("truncated_documents", []),
        "failed_documents": usage.get("failed_documents", []),
        "warnings": row.get("warnings", []),
    }


def as_result(result: Mapping[str, Any]) -> dict[str, Any]:
    name, document = result.get("id"), result.get("document")
    return {
        "index": result["index"],
        "relevance_score": result["relevance_score"],
        "id": None if name is None else str(name),
        "text": document["text"] if document else None,
    }
