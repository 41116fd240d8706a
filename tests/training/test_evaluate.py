from pathlib import Path

import ir_measures
import numpy as np
import pytest

from app.training.evaluate import Task, fuse_ranks, judge, ndcg, windows
from tests.training import tiny


def task(gains: list[int], missed: list[int]) -> Task:
    ideal = sorted((g for g in gains + missed if g > 0), reverse=True)
    texts = [f"a boat {number}" for number in range(len(gains))]
    return Task("the boat", texts, np.arange(len(gains), 0.0, -1), np.array(gains), ideal)


def test_ndcg_is_what_ir_measures_says() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        one, scores = task(rng.integers(0, 3, 30).tolist(), [1, 2]), rng.normal(size=30)
        grades = {"q": {str(n): int(g) for n, g in enumerate([*one.gains, 1, 2])}}
        run = {"q": {str(n): float(s) for n, s in enumerate(scores)}}
        wanted = ir_measures.calc_aggregate([ir_measures.nDCG @ 10], grades, run)
        assert ndcg(one, scores) == pytest.approx(next(iter(wanted.values())))


def test_what_was_not_retrieved_counts_against_the_ideal() -> None:
    assert ndcg(task([1, 0], []), np.array([2.0, 1.0])) == 1
    assert ndcg(task([1, 0], [1]), np.array([2.0, 1.0])) < 1


def test_fused_ranks_put_first_what_both_put_high() -> None:
    fused = fuse_ranks(np.array([3.0, 2.0, 1.0]), np.array([1.0, 3.0, 2.0]))
    assert fused.argmax() == 1


def test_windows_overlap_and_cover_a_long_text() -> None:
    text = " ".join(map(str, range(700)))
    pieces = windows(text)
    assert len(pieces) > 2
    assert {word for piece in pieces for word in piece.split()} == set(text.split())
    assert windows("short") == ["short"]


def test_every_ranker_scores_every_document(tmp_path: Path) -> None:
    tiny.write_base(tmp_path)
    one = task([0, 1, 0], [])
    assert {len(scores) for scores in judge(*tiny.start(tmp_path), one).values()} == {3}
