from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from app.training.bundled.rivals import fuse_ranks, main, standard, windows


def test_fused_ranks_put_first_what_both_put_high() -> None:
    fused = fuse_ranks(np.array([3.0, 2.0, 1.0]), np.array([1.0, 3.0, 2.0]))
    assert fused.argmax() == 1


def test_standard_scores_of_equal_ones_are_equal() -> None:
    assert standard(np.array([2.0, 2.0])).tolist() == [0, 0]
    assert standard(np.array([1.0, 3.0])) == pytest.approx([-1, 1])


@pytest.mark.parametrize("words", [1, 160, 161, 279, 280, 281, 700])
def test_windows_overlap_and_cover_a_text(words: int) -> None:
    text = " ".join(map(str, range(words)))
    pieces = windows(text)
    assert list(dict.fromkeys(word for piece in pieces for word in piece.split())) == text.split()
    assert all(len(piece.split()) <= 160 for piece in pieces)
    assert all(first.split()[-1] in second.split() for first, second in pairwise(pieces))


def write(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))


def test_each_rival_is_measured_over_the_same_candidates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = {
        "keep": "Readers may borrow a novel from the library for four weeks.",
        "words": "A book on long bees: keep the book, book the book.",
        "other": "A book of maps.",
    }
    write(tmp_path / "corpus.jsonl", [{"_id": n, "text": t} for n, t in documents.items()])
    write(tmp_path / "queries.jsonl", [{"_id": "q", "text": "how long can I keep a library book"}])
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\nq\tkeep\t1\n")
    main([str(tmp_path)])
    figures = capsys.readouterr().out
    assert f"{tmp_path.name} (1 queries): BM25 0.6309  bi-encoder 1.0000" in figures
    assert "fused scores" in figures
