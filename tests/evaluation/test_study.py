from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from app.evaluation.data.judged import Judged
from app.evaluation.first_stage import candidates
from app.evaluation.progress import track
from app.evaluation.reports.report import as_json, as_text, write_report
from app.evaluation.reports.worse import worse
from app.evaluation.scoring import Answer, Latency, reorder, score_all
from app.evaluation.study import Move, Study, compare
from tests.evaluation.conftest import WordScorer

pytestmark = pytest.mark.anyio

FOUND = {"q": ["a", "b", "c", "d"]}


@pytest.fixture
async def study(handbook: Judged, scorer: WordScorer) -> Study:
    orders = candidates(handbook, 20, "english", own_ranks=False)
    answers = await score_all(scorer, handbook, orders)
    return compare(handbook, orders, answers, model=scorer.name, k=10, initial_k=20, seed=0)


def test_the_best_score_comes_first_and_ties_stay_as_they_were() -> None:
    assert reorder(FOUND, {"q": Answer([1, 3, 1, 2], 0.1)}) == {"q": ["b", "d", "a", "c"]}


def test_a_smaller_depth_takes_the_first_stages_best() -> None:
    assert reorder(FOUND, {"q": Answer([1, 3, 1, 9], 0.1)}, 3) == {"q": ["b", "a", "c"]}


def test_a_query_without_an_answer_keeps_its_order() -> None:
    assert reorder(FOUND, {}) == FOUND


async def test_every_query_with_candidates_is_asked_once(scorer: WordScorer) -> None:
    judged = Judged("two", {"q": "ab", "r": "b"}, {"a": "a", "b": "b"}, {})
    answers = await score_all(scorer, judged, {"q": ["a", "b"], "r": []}, concurrency=4)
    assert scorer.calls == [("ab", 2)]
    assert answers["q"].seconds >= 0


async def test_the_first_failure_is_told_as_it_is(handbook: Judged) -> None:
    class Broken(WordScorer):
        async def score(self, query: str, texts: object) -> list[float]:
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await score_all(Broken(), handbook, candidates(handbook, 5, "english", own_ranks=False))


@pytest.mark.parametrize("terminal", [True, False])
def test_a_bar_shows_on_a_terminal_only(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    assert list(track([1, 2], "counting")) == [1, 2]
    assert ("counting: 100%" in stream.getvalue()) == terminal


def test_latency_is_told_in_milliseconds() -> None:
    latency = Latency.of([n / 1000 for n in range(1, 101)])
    assert (latency.p50, latency.p95, latency.p99) == pytest.approx((50.5, 95.05, 99.01))


async def test_moves_tell_where_each_relevant_document_went(handbook: Judged, study: Study) -> None:
    assert Move("q", "d", before=7, after=2).places == 5
    for move in study.moves:
        assert study.first[move.query][move.before - 1] == move.document
        assert study.reranked[move.query][move.after - 1] == move.document
        assert move.document in handbook.relevant(move.query)
    counts = as_json(study)["relevant_documents"]
    assert counts["up"] + counts["same"] + counts["down"] == counts["found"] == len(study.moves)


async def test_the_queries_that_got_worse_can_be_read(handbook: Judged, study: Study) -> None:
    text = worse(handbook, study)
    assert text.startswith(f"# {len(study.worse)} of 44 queries became worse by nDCG@10")
    assert text.count("\n## ") == len(study.worse) > 3
    lost = study.worse[0]
    assert text.index(handbook.queries[lost]) < text.index(handbook.queries[study.worse[-1]])
    assert "- relevant, rank" in text
    assert "- now first: `h" in text


async def test_the_report_is_a_folder_of_whole_files(
    handbook: Judged, study: Study, tmp_path: Path
) -> None:
    write_report(tmp_path / "out", handbook, study)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["first.run", "ranks.tsv", "report.json", "reranked.run", "worse.md"]
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert report["measures"]["nDCG@10"]["before"] == study.before.mean("nDCG@10")
    assert len(report["per_query"]) == 44
    query, q0, document, rank, _, tag = (
        (tmp_path / "out/reranked.run").read_text().splitlines()[0].split()
    )
    assert (q0, rank, tag) == ("Q0", "1", "reranked")
    assert study.reranked[query][0] == document


async def test_the_table_and_the_figures_say_the_same(study: Study) -> None:
    shown, figures = as_text(study), as_json(study)
    assert f"{figures['measures']['MAP']['after']:.4f}" in shown
    assert shown.endswith(figures["verdict"])
    assert figures["queries_better"] + figures["queries_worse"] <= figures["queries"] == 44
