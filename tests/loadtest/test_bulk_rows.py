from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from loadtest.bulk_rows import DOCUMENTS, CandidateRows, FreshRows, Rows

PAIRS = 10 * DOCUMENTS


def read(path: str | Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def resolved(source: str, *flags: str) -> list[tuple[str, tuple[str, ...]]]:
    """The rows of a file with their texts."""
    if not flags:
        return [(row["query"], tuple(row["documents"])) for row in read(source)]
    texts = {row["id"]: row["text"] for row in read(flags[flags.index("--corpus") + 1])}
    return [
        (row["query"], tuple(texts[name] for name in row["candidates"])) for row in read(source)
    ]


@pytest.mark.parametrize("make", [FreshRows, lambda seed: CandidateRows(100, seed)])
def test_the_service_is_sent_the_rows_of_the_file(make: Any, tmp_path: Path) -> None:
    rows: Rows = make(1)
    requests = [rows.request() for _ in range(PAIRS // DOCUMENTS)]
    written = resolved(*make(1).write(tmp_path, PAIRS))
    assert written == [(request.query, request.documents) for request in requests]
    assert resolved(*make(2).write(tmp_path, PAIRS)) != written


def test_no_document_of_fresh_rows_comes_again(tmp_path: Path) -> None:
    (source,) = FreshRows(1).write(tmp_path, PAIRS)
    documents = [text for _, texts in resolved(source) for text in texts]
    assert len(set(documents)) == len(documents) == PAIRS


def test_candidates_come_again_in_other_rows_but_never_in_the_same(tmp_path: Path) -> None:
    source, *flags = CandidateRows(100, 1).write(tmp_path, PAIRS)
    rows = resolved(source, *flags)
    assert all(len(set(texts)) == DOCUMENTS for _, texts in rows)
    uses = Counter(text for _, texts in rows for text in texts)
    assert max(uses.values()) <= len(rows)
    assert sum(uses.values()) / len(uses) == pytest.approx(PAIRS / 100, rel=0.1)


def test_all_candidates_of_the_file_are_a_single_block(tmp_path: Path) -> None:
    _, *flags = CandidateRows(100, 1).write(tmp_path, PAIRS)
    assert flags[flags.index("--block-pairs") + 1] == str(PAIRS)


def test_each_seed_draws_other_candidates_from_the_same_corpus(tmp_path: Path) -> None:
    drawn, corpora = [], []
    for seed in (1, 2):
        source, *flags = CandidateRows(50, seed).write(tmp_path, PAIRS)
        drawn.append(read(source))
        corpora.append(read(flags[flags.index("--corpus") + 1]))
    assert drawn[0] != drawn[1]
    assert corpora[0] == corpora[1]
