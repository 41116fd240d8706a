from __future__ import annotations

from app.retrieval.fusion import fuse
from app.retrieval.store import Candidate


def named(*names: str) -> list[Candidate]:
    return [
        Candidate(name, f"the text of {name}", score=1 / rank) for rank, name in enumerate(names, 1)
    ]


def ids(candidates: list[Candidate]) -> list[str]:
    return [candidate.id for candidate in candidates]


def test_one_list_keeps_its_order_and_its_scores() -> None:
    assert fuse([named("a", "b", "c")], 2) == named("a", "b")


def test_what_several_lists_hold_comes_before_what_one_holds_first() -> None:
    assert ids(fuse([named("a", "b"), named("c", "b")], 3)) == ["b", "a", "c"]


def test_a_fused_score_is_the_sum_of_reciprocal_ranks() -> None:
    (best, *_) = fuse([named("a", "b"), named("b")], 1)
    assert best.score == 1 / 62 + 1 / 61


def test_the_same_text_under_two_ids_is_one_candidate() -> None:
    first, second = Candidate("1", "How to  reset"), Candidate("2", "How to\nreset")
    assert ids(fuse([[first], [second]], 5)) == ["1"]
    assert ids(fuse([[first, second]], 5)) == ["1"]


def test_the_same_id_with_two_texts_is_one_candidate() -> None:
    assert len(fuse([[Candidate("1", "old")], [Candidate("1", "new")]], 5)) == 1


def test_a_duplicate_within_one_list_wins_no_points() -> None:
    twice = [Candidate("1", "x"), Candidate("1", "x"), Candidate("2", "y")]
    fused = fuse([twice, [Candidate("2", "y")]], 5)
    assert ids(fused) == ["2", "1"]
    assert fused[1].score == 1 / 61


def test_nothing_fused_is_nothing() -> None:
    assert fuse([[], []], 5) == fuse([[]], 5) == []
