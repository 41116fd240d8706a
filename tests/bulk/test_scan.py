from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.bulk import scan as scanning
from app.bulk.problems import RunFailed, Unusable
from app.bulk.rows import BadRow, read_rows
from app.bulk.scan import Ids, Source, blocks_of, scan


@pytest.fixture
def ids(tmp_path: Path) -> Iterator[Ids]:
    with closing(Ids(tmp_path / "ids.sqlite", "line")) as opened:
        yield opened


def source(tmp_path: Path, *rows: dict[str, Any] | str, pairs: int = 4) -> Source:
    path = tmp_path / "in.jsonl"
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines))
    return Source(path, None, 1000, pairs)


def row(name: str | int, documents: int, text: str = "t") -> dict[str, Any]:
    return {"id": name, "query": "q", "documents": [text] * documents}


def test_blocks_are_whole_rows_of_at_most_so_many_pairs(tmp_path: Path, ids: Ids) -> None:
    rows = [row(name, count) for name, count in enumerate((2, 2, 1, 9, 1, 3))]
    blocks = scan(source(tmp_path, *rows), ids)
    assert list(blocks.documents) == [4, 1, 9, 4]
    assert list(blocks.ends) == [2, 3, 4, 6]
    assert blocks.rows == 6


def test_a_block_has_at_most_so_many_characters(
    tmp_path: Path, ids: Ids, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "MAX_BLOCK_CHARS", 100)
    rows = [row("a", 1, "x" * 60), row("b", 1, "x" * 60), row("c", 1)]
    assert list(scan(source(tmp_path, *rows), ids).ends) == [1, 3]


def test_candidates_count_and_rows_that_cannot_be_read_belong_to_a_block(
    tmp_path: Path, ids: Ids
) -> None:
    listed = {"id": "a", "query": "q", "candidates": ["d1", "d2", "d3"]}
    blocks = scan(source(tmp_path, listed, "{broken", row("b", 1), row("c", 1)), ids)
    assert list(blocks.documents) == [4, 1]
    assert list(blocks.ends) == [3, 4]


def test_a_repeated_id_is_refused_with_the_line_of_the_first(tmp_path: Path, ids: Ids) -> None:
    scan(source(tmp_path, row(1, 1), row("b", 1), row("1", 1)), ids)
    ids.refuse_repeated(1, 1)
    with pytest.raises(BadRow, match="id: 1 occurs already in line 1"):
        ids.refuse_repeated("1", 3)


def test_an_input_without_rows_is_refused(tmp_path: Path, ids: Ids) -> None:
    with pytest.raises(Unusable, match="contains no row"):
        scan(source(tmp_path, ""), ids)


def test_the_rows_come_block_by_block(tmp_path: Path, ids: Ids) -> None:
    files = source(tmp_path, *(row(name, 3) for name in "abc"))
    blocks = blocks_of(read_rows(files.path, files.max_bytes), scan(files, ids))
    assert [[raw.fields()["id"] for raw in block] for block in blocks] == [["a"], ["b"], ["c"]]


def test_an_input_that_became_shorter_ends_the_run(tmp_path: Path, ids: Ids) -> None:
    blocks = scan(source(tmp_path, row("a", 1), row("b", 1)), ids)
    files = source(tmp_path, row("a", 1))
    with pytest.raises(RunFailed, match="the input became shorter"):
        list(blocks_of(read_rows(files.path, files.max_bytes), blocks))


def test_the_fingerprint_is_of_the_content(tmp_path: Path) -> None:
    before = source(tmp_path, row("a", 1)).fingerprint()
    assert source(tmp_path, row("a", 1)).fingerprint() == before
    assert source(tmp_path, row("b", 1)).fingerprint() != before
    assert source(tmp_path, row("a", 1), pairs=5).fingerprint() != before


def test_a_file_of_ids_of_an_earlier_process_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "left.sqlite"
    path.write_bytes(b"torn by a kill")
    with closing(Ids(path, "line")) as ids:
        ids.add("a", 1)
        ids.refuse_repeated("a", 1)


def test_a_file_that_changes_while_it_is_read_ends_the_run(tmp_path: Path) -> None:
    path = source(tmp_path, row("a", 1)).path
    files = Source.opened(path, None, 1000, 4)
    files.refuse_change()
    path.write_text("another")
    with pytest.raises(Unusable, match=r"in.jsonl changed while it was read"):
        files.refuse_change()


def test_a_missing_file_is_named_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match=r"missing.jsonl: cannot be read: No such file"):
        Source.opened(tmp_path / "missing.jsonl", None, 1, 1)
