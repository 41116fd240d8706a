"""`rerankd drift` as a user or a scheduler runs it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from app.cli import main
from tests.evaluation.conftest import WriteLines
from tests.evaluation.drift.records import (
    DAY,
    HOUR,
    MONDAY,
    WEEK,
    Line,
    answer_line,
    lower,
    ready_line,
    request_line,
    requests,
    steady,
    verdict_line,
    verdicts,
)

NEXT = MONDAY + WEEK


class Ended(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self.out)
        return report

    def states(self) -> dict[str, str]:
        return {each["name"]: each["verdict"] for each in self.report["quantities"]}


Drift = Callable[..., Ended]


@pytest.fixture
def drift(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Drift:
    """In an empty folder; a refusal is a result too."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> Ended:
        capsys.readouterr()
        try:
            code = main(["drift", *map(str, words)])
        except SystemExit as ended:
            code = int(str(ended.code))
        printed = capsys.readouterr()
        return Ended(code, printed.out, printed.err)

    return call


@pytest.fixture
def quiet(write_lines: WriteLines) -> Path:
    """Two days of requests in two weeks that equal each other."""
    lines = [*requests(MONDAY, 48, steady, 1), *requests(NEXT, 48, steady, 2)]
    return write_lines("quiet.log", ready_line(MONDAY - DAY), *lines)


def test_equal_periods_are_steady_and_end_with_0(drift: Drift, quiet: Path) -> None:
    ended = drift(quiet, "--at", "2026-11-09", "--json")
    assert ended.code == ended.report["exit_code"] == 0
    assert ended.report["verdict"] == "steady"
    assert ended.states() == {"top_score": "steady", "score_gap": "steady"}
    assert ended.report["warnings"] == []
    assert [ended.report[side]["requests"] for side in ("before", "after")] == [960, 960]


def test_scores_that_move_are_shifted_and_end_with_3(
    drift: Drift, write_lines: WriteLines, tmp_path: Path
) -> None:
    old = write_lines("old.log", *requests(MONDAY, 48, steady, 1))
    new = write_lines("new.log", *requests(NEXT, 48, lower, 2))
    ended = drift(old, new)
    assert ended.code == 3
    lines = ended.out.splitlines()
    assert lines[0] == (
        "before: 2026-11-02 00:00 to 2026-11-03 23:57 UTC; 960 requests; rerankd-minilm"
    )
    assert "Shifted (shifted: top score; steady: score gap)." in lines
    (row,) = [line for line in lines if line.startswith("top score ")]
    assert row.endswith("  shifted")
    (sentence,) = [line for line in lines if line.startswith("top score: ")]
    assert "% were at or below " in sentence
    written = json.loads((tmp_path / "rerankd-drift/drift.json").read_text())
    top = written["quantities"][0]
    assert top["mean"]["before"] == pytest.approx(2 / 3, abs=0.02)
    assert top["mean"]["after"] == pytest.approx(1 / 2, abs=0.02)
    assert top["low"] < top["change"] < top["high"] < 0
    assert top["quantiles"]["p50"]["after"] == pytest.approx(0.5, abs=0.03)
    shift = top["shift"]
    shares = shift["share_at_or_below"]
    assert shift["kolmogorov_smirnov"] == pytest.approx(shares["after"] - shares["before"])
    assert 0 < shift["jensen_shannon"] < 1
    with Image.open(tmp_path / "rerankd-drift/drift.png") as picture:
        assert picture.format == "PNG"


def test_quality_that_falls_is_worse_and_ends_with_4(
    drift: Drift, quiet: Path, write_lines: WriteLines
) -> None:
    lines = [*verdicts(MONDAY, [1] * 40), *verdicts(NEXT, [1, 3, 4, 5] * 10)]
    feedback = write_lines("feedback.jsonl", *lines)
    ended = drift(quiet, feedback, "--before", "2026-11-02..2026-11-04", "--after",
                  "2026-11-09..2026-11-11", "--json", "--k", 5)  # fmt: skip
    assert (ended.code, ended.report["verdict"]) == (4, "worse")
    assert ended.states() == {
        "top_score": "steady",
        "score_gap": "steady",
        "useful": "steady",
        "nDCG@5": "worse",
        "MRR@5": "worse",
    }
    ndcg = ended.report["quantities"][3]
    expected = float(np.mean([1, 1 / 2, 1 / np.log2(5), 1 / np.log2(6)]))
    assert ndcg["mean"] == {"before": 1, "after": pytest.approx(expected)}
    assert ended.report["before"]["judged_answers"] == 40
    assert [each["name"] for each in ended.report["quantities"] if not each["decides"]] == ["MRR@5"]


def test_too_few_records_end_with_5(drift: Drift, write_lines: WriteLines) -> None:
    old, new = (write_lines(f"{n}.log", *requests(n, 3, steady, 1)) for n in (MONDAY, NEXT))
    ended = drift(old, new)
    assert ended.code == 5
    assert "top score: 3 before, 3 after blocks with requests; 20 are needed" in ended.out
    assert ended.out.count("too little data") == 3
    finer = drift(old, new, "--block", "5m")
    assert "chance alone makes changes of up to" in finer.out
    assert finer.code == 5


def test_a_feedback_file_alone_gives_scores_too(drift: Drift, write_lines: WriteLines) -> None:
    old = write_lines("old.jsonl", *verdicts(MONDAY, [1, 2] * 20))
    new = write_lines("new.jsonl", *verdicts(NEXT, [2, 1] * 20))
    ended = drift(old, new, "--json")
    assert ended.code == 0
    assert set(ended.states()) == {
        *("top_score", "score_gap", "not_known", "useful", "nDCG@10", "MRR@10"),
    }
    assert ended.report["quantities"][0]["mean"] == {"before": 0.9, "after": 0.9}


def test_answers_that_do_not_know_are_counted(drift: Drift, write_lines: WriteLines) -> None:
    def lines(start: float, every: int) -> list[Line]:
        return [
            answer_line(start + n * HOUR / 4, "not_found" if n % every == 0 else "answered")
            for n in range(400)
        ]

    old, new = write_lines("a", *lines(MONDAY, 20)), write_lines("b", *lines(NEXT, 4))
    ended = drift(old, new, "--json", "--route", "/answer")
    assert ended.states()["not_known"] == "shifted"
    assert ended.report["quantities"][2]["mean"] == {"before": 0.05, "after": 0.25}


def test_another_model_engine_or_number_of_candidates_is_noted(
    drift: Drift, write_lines: WriteLines
) -> None:
    old = write_lines("old.log", ready_line(MONDAY), *requests(MONDAY, 24, steady, 1))
    changed = [line | {"model": "other", "documents": 40} for line in requests(NEXT, 24, steady, 2)]
    new = write_lines("new.log", ready_line(NEXT, model="other", engine="torch"), *changed)
    ended = drift(old, new)
    notes = [line for line in ended.out.splitlines() if line.startswith("Note: ")]
    assert notes == [
        "Note: engine changed: openvino before; torch after.",
        "Note: model changed: rerankd-minilm before; other after.",
        (
            "Note: candidates per request changed: 20.0 before, 40.0 after; "
            "the best of more candidates scores higher."
        ),
    ]


def test_other_days_of_the_week_are_noted(drift: Drift, write_lines: WriteLines) -> None:
    old = write_lines("old.log", *requests(MONDAY, 24, steady, 1))
    new = write_lines("new.log", *requests(NEXT - DAY, 24, steady, 2))
    assert "other days of the week: compare whole weeks" in drift(old, new).out


def test_lines_of_an_older_version_are_noted(drift: Drift, write_lines: WriteLines) -> None:
    line = request_line(MONDAY, 0.5)
    del line["top_score"], line["score_gap"]
    old = verdict_line(MONDAY, 1, 1)
    del old["ranking"]
    logs = write_lines("old.log", line), write_lines("new.log", request_line(NEXT, 0.5))
    feedback = write_lines("feedback.jsonl", old)
    ended = drift(*logs, feedback, "--at", "2026-11-09", "--json")
    assert ended.code == 5
    assert ended.report["warnings"] == [
        "1 requests were left out: their log lines have no top_score",
        "1 verdicts do not count for nDCG: their lines have no ranking",
    ]


def test_the_limits_of_the_verdict_are_flags(drift: Drift, write_lines: WriteLines) -> None:
    old = write_lines("old.log", *requests(MONDAY, 48, steady, 1))
    new = write_lines("new.log", *requests(NEXT, 48, lower, 2))
    assert drift(old, new, "--min-shift", "0.5").code == 0
    report = drift(old, new, "--alpha", "0.05", "--json").report
    assert report["limits"] == {
        "alpha": 0.05,
        "min_shift": 0.1,
        "min_share": 0.05,
        "min_loss": 0.02,
        "block_seconds": 3600,
    }


def test_the_same_seed_gives_the_same_report(drift: Drift, quiet: Path) -> None:
    words = [quiet, "--at", "2026-11-09", "--json", "--seed"]
    assert drift(*words, 1).out == drift(*words, 1).out != drift(*words, 2).out


def test_nothing_of_the_texts_is_in_the_report(
    drift: Drift, write_lines: WriteLines, tmp_path: Path
) -> None:
    lines = [line | {"query": f"secret {n}"} for n, line in enumerate(verdicts(MONDAY, [1] * 30))]
    feedback = write_lines("f.jsonl", *lines)
    ended = drift(feedback, "--at", "2026-11-02T12:00", "--json")
    assert "secret" not in ended.out + (tmp_path / "rerankd-drift/drift.json").read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "name two files, or --prometheus"),
        (["a.log"], "name two files: the period before and the period after"),
        (["a.log", "--at", "soon"], "'soon' is neither a date"),
        (["a.log", "--before", "2d..1d"], "--before and --after need each other"),
        (["a.log", "--before", "3d..1d", "--after", "2d..now"], "overlap"),
        (["a.log", "--at", "1d", "--before", "2d..1d", "--after", "1d..now"], "exclude each other"),
        (["--prometheus", "http://x"], "--prometheus needs --before and --after"),
        (["--prometheus", "http://x", "--at", "1d"], "--prometheus needs --before and --after"),
        (["a.log", "--at", "1d", "--block", "1"], "'1' is not a duration"),
        (["a.log", "--at", "1d", "--alpha", "1"], "must be between 0 and 1"),
        (["missing.log", "--at", "1d"], "missing.log: does not exist"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_sentence(
    drift: Drift, words: list[str], sentence: str
) -> None:
    ended = drift(*words)
    assert ended.code == 2
    assert sentence in ended.err
    assert "Traceback" not in ended.err


def test_a_missing_extra_is_named(
    drift: Drift, quiet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "app.evaluation.drift.picture", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.axes", None)
    ended = drift(quiet, "--at", "2026-11-09")
    assert ended.code == 1
    assert ended.err == "rerankd: matplotlib.axes is missing: pip install 'rerankd[eval]'\n"
