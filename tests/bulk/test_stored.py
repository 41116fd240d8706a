"""The input of a run, as another process of the machine reads it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from app.bulk.corpus import open_corpus
from app.bulk.problems import RunFailed
from app.bulk.run import ReadRow, Rows
from app.bulk.scan import Ids, Source, scan
from app.bulk.stored import IDS, StoredRows
from tests.bulk.forms import row_format

ROWS: list[dict[str, Any]] = [
    {"id": "a", "query": "red fish", "candidates": ["x", "y"]},
    {"id": "b", "query": "blue sky", "documents": ["red", "blue"]},
    {"id": "a", "query": "again", "documents": ["red"]},
    {"query": "no documents"},
    {"id": "c", "query": "blue", "candidates": ["nothing"]},
    {"id": "d", "query": "sea", "candidates": ["y"]},
]
CORPUS: list[dict[str, Any]] = [
    {"id": "x", "text": "red fish"},
    {"id": "y", "title": "sea", "text": "blue"},
]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


@pytest.fixture
def source(tmp_path: Path) -> Source:
    corpus = write(tmp_path / "corpus.jsonl", CORPUS)
    return Source.opened(write(tmp_path / "in.jsonl", ROWS), corpus, 10_000, pairs=2)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


@pytest.fixture
def ids(work: Path) -> Iterator[Ids]:
    with closing(Ids(work / IDS, "line")) as opened:
        yield opened


@pytest.fixture
def stored(source: Source, work: Path, ids: Ids) -> StoredRows:
    blocks = scan(source, ids)
    ids.seal()
    with open_corpus(source, work):
        rows = StoredRows(source, blocks, work, "line", row_format().parse)
    again: StoredRows = pickle.loads(pickle.dumps(rows))
    return again


def test_the_blocks_are_those_of_a_run_in_this_process(
    source: Source, work: Path, ids: Ids, stored: StoredRows
) -> None:
    with open_corpus(source, work) as corpus:
        rows = Rows(source, stored.blocks, ids, corpus, row_format().parse)
        here = [rows.read_all(rows.next_block()) for _ in range(len(stored.blocks))]
    assert len(here) > 2
    assert list(stored.read(frozenset(range(len(here))))) == list(enumerate(here))
    reasons = [row["reason"] for block in here for row in block if not isinstance(row, ReadRow)]
    assert len(reasons) == 3


def test_only_the_blocks_that_are_not_done_are_read(stored: StoredRows) -> None:
    last = len(stored.blocks) - 1
    assert [block for block, _ in stored.read(frozenset({0, last}))] == [0, last]


def test_what_is_read_can_be_sent(stored: StoredRows) -> None:
    blocks = list(stored.read(frozenset(range(len(stored.blocks)))))
    assert pickle.loads(pickle.dumps(blocks)) == blocks


def test_an_input_that_became_shorter_ends_the_reading_with_an_error(
    source: Source, stored: StoredRows
) -> None:
    write(source.path, ROWS[:2])
    *_, (number, error) = stored.read(frozenset(range(len(stored.blocks))))
    assert number == -1
    assert isinstance(error, RunFailed)
