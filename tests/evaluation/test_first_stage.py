from __future__ import annotations

from dataclasses import replace

import pytest

from app.evaluation.data.judged import Judged
from app.evaluation.first_stage import Bm25, candidates, read_run
from app.evaluation.problems import BadInput, NotMeasurable
from tests.evaluation.conftest import WriteLines

CORPUS = {"a": "rivers run deep", "b": "a hill", "c": "the river and the boats on the river"}


def test_bm25_knows_word_endings_and_leaves_out_what_shares_no_word() -> None:
    assert Bm25(CORPUS).best("river", 10) == ["c", "a"]
    assert Bm25(CORPUS, "none").best("river", 10) == ["c"]


def test_a_query_that_shares_no_word_finds_nothing() -> None:
    assert Bm25(CORPUS).best("mountain", 10) == []
    assert Bm25(CORPUS).best("the", 10) == []
    assert Bm25({"a": "the"}).best("river", 10) == []


def test_a_language_without_a_stemmer_is_refused() -> None:
    assert Bm25({"a": "die Flüsse"}, "german").best("Fluss", 1) == ["a"]
    with pytest.raises(NotMeasurable, match="unknown language elvish; known: "):
        Bm25(CORPUS, "elvish")


def test_bm25_goes_as_deep_as_it_is_asked(handbook: Judged) -> None:
    orders = candidates(handbook, 3, "english", own_ranks=False)
    assert max(map(len, orders.values())) == 3
    assert orders["q01"][0] == candidates(handbook, 30, "english", own_ranks=False)["q01"][0]


def test_a_pool_is_sorted_and_nothing_else_is_found(handbook: Judged) -> None:
    pool = ["h40", "h01", "h02"]
    pooled = replace(handbook, pools={"q01": pool})
    orders = candidates(pooled, 10, "english", own_ranks=False)
    assert sorted(orders["q01"]) == sorted(pool)
    assert orders["q43"][0] == "h01"


def test_ranks_that_came_with_the_data_are_kept(handbook: Judged) -> None:
    ranked = replace(
        handbook, queries={"q01": "x"}, pools={"q01": ["h40", "h01", "h02"]}, ranked=True
    )
    assert candidates(ranked, 2, "english", own_ranks=True) == {"q01": ["h40", "h01"]}
    with pytest.raises(NotMeasurable, match="contains no first ranking"):
        candidates(handbook, 2, "english", own_ranks=True)


def test_a_run_is_sorted_by_score(handbook: Judged, write_lines: WriteLines) -> None:
    path = write_lines("my.run", "q01 Q0 h02 1 0.5 me", "q01 Q0 h03 2 0.7 me", "other Q0 h04 1 1 x")
    orders = read_run(path, handbook, 10)
    assert orders["q01"] == ["h03", "h02"]
    assert orders["q02"] == []


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("q01 h02 0.5", "my.run, line 1: has 3 separated fields, not 6"),
        ("q01 Q0 nil 1 0.5 me", "my.run, line 1: document nil is not in the corpus"),
        ("q01 Q0 h02 1 high me", "my.run, line 1: score 'high' is not a number"),
        ("other Q0 h02 1 1 me", "my.run: contains no rank for any query of handbook"),
    ],
)
def test_a_bad_run_is_named(
    handbook: Judged, write_lines: WriteLines, line: str, says: str
) -> None:
    with pytest.raises(BadInput, match=says):
        read_run(write_lines("my.run", line), handbook, 10)
