from __future__ import annotations

import gzip
import json
import lzma
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.bulk.problems import Unusable
from app.bulk.rows import BadRow, RawRow, id_of, read_rows
from app.bulk.tables import write_table

MAX_BYTES = 100
ROW = {"id": "a", "query": "q", "documents": ["one", "two"]}


def rows(path: Path) -> list[RawRow]:
    return list(read_rows(path, MAX_BYTES))


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def reason(row: RawRow) -> str:
    with pytest.raises(BadRow) as refused:
        row.fields()
    return str(refused.value)


def test_rows_have_the_numbers_of_their_lines_and_blank_lines_are_none(tmp_path: Path) -> None:
    line = json.dumps(ROW).encode()
    read = rows(written(tmp_path / "in.jsonl", b"\xef\xbb\xbf" + line + b"\n\n" + line))
    assert [row.number for row in read] == [1, 3]
    assert [row.fields() for row in read] == [ROW, ROW]


@pytest.mark.parametrize(("suffix", "module"), [(".gz", gzip), (".xz", lzma)])
def test_compressed_lines_are_read(tmp_path: Path, suffix: str, module: Any) -> None:
    path = written(tmp_path / f"in.jsonl{suffix}", module.compress(json.dumps(ROW).encode()))
    assert rows(path)[0].fields() == ROW


def test_a_line_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path) -> None:
    long = json.dumps({"query": "x" * 300_000}).encode()
    good = json.dumps(ROW).encode()
    path = written(tmp_path / "in.jsonl", b"\n".join([b"{not json", long, b"[1]", b"\xff", good]))
    broken, too_long, array, not_text, last = rows(path)
    assert reason(broken).startswith("not valid JSON")
    assert reason(too_long) == f"the row has more than {MAX_BYTES} bytes (max_body_bytes)"
    assert reason(array) == "the row must be a JSON object"
    assert reason(not_text).startswith("not valid JSON")
    assert (last.number, last.fields()) == (5, ROW)


def test_a_line_of_exactly_the_limit_is_read(tmp_path: Path) -> None:
    line = json.dumps({"query": "x" * (MAX_BYTES - 14)}).encode() + b"\n"
    assert len(line) == MAX_BYTES
    read = rows(written(tmp_path / "in.jsonl", line * 2))
    assert [len(row.fields()["query"]) for row in read] == [MAX_BYTES - 14] * 2


def test_an_unknown_ending_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"unknown ending; known: .jsonl, .ndjson, .parquet"):
        rows(written(tmp_path / "in.csv", b""))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("in.jsonl.gz", b"not gzip", "line 1: cannot be decompressed"),
        ("in.parquet", b"not parquet", "row 1: cannot be read as Parquet"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_named(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    with pytest.raises(Unusable, match=says):
        rows(written(tmp_path / name, content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="No such file"):
        rows(tmp_path / "in.jsonl")


def test_rows_of_parquet_have_only_the_columns_that_are_set(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    documents = [{"id": "d", "text": "t"}, {"id": None, "text": "u"}]
    table = [
        {"id": 7, "query": "q", "documents": documents, "top_n": None},
        {"id": 8, "query": "r", "documents": documents[:1], "top_n": 1},
    ]
    pq.write_table(pa.Table.from_pylist(table), path)
    first, second = rows(path)
    assert (first.number, second.number) == (1, 2)
    assert first.fields() == {
        "id": 7,
        "query": "q",
        "documents": [{"id": "d", "text": "t"}, {"text": "u"}],
    }
    assert second.fields()["top_n"] == 1


def test_results_are_written_as_columns(tmp_path: Path) -> None:
    document = {"text": "t", "page": 3}
    results = [{"index": 1, "relevance_score": 0.5, "id": 9, "document": document}]
    usage = {"total_tokens": 12, "documents": 2, "truncated": 1, "truncated_documents": [1]}
    path = tmp_path / "out.parquet"
    with path.open("wb") as stream:
        write_table(stream, [{"id": 1, "results": results, "usage": usage, "warnings": ["w"]}])
    assert pq.read_table(path).to_pylist() == [
        {
            "id": "1",
            "results": [{"index": 1, "relevance_score": 0.5, "id": "9", "text": "t"}],
            "total_tokens": 12,
            "truncated_documents": [1],
            "failed_documents": [],
            "warnings": ["w"],
        }
    ]


@pytest.mark.parametrize(("fields", "name"), [({"id": "a"}, "a"), ({"id": 5}, 5), ({}, 3)])
def test_a_row_without_an_id_has_its_number(fields: dict[str, Any], name: str | int) -> None:
    assert id_of(fields, 3) == name


@pytest.mark.parametrize("value", [True, "", 1.5, ["a"]])
def test_an_id_is_a_text_or_a_whole_number(value: object) -> None:
    with pytest.raises(BadRow, match="id: must be a string or a whole number"):
        id_of({"id": value}, 1)
