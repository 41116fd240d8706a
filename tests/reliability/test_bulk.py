"""The killed bulk run in its short form, and proof that it notices what it looks for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.reliability.bulk.__main__ import main
from tests.reliability.bulk.rows import differences, every_line_once, write_rows

ROWS = 5


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    write_rows(path, ROWS * 32, seed=1)
    return path


def write_output(folder: Path, results: list[str], failed: list[int]) -> Path:
    folder.mkdir()
    lines = [json.dumps({"id": name}) for name in results]
    (folder / "part-000000.jsonl").write_text("\n".join(lines))
    (folder / "failed.jsonl").write_text("\n".join(json.dumps({"line": n}) for n in failed))
    return folder


def test_a_killed_run_gives_what_an_undisturbed_run_gives(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main(["--pairs", "800", "--kills", "2", "--block-pairs", "128"])
    assert code == 0, capsys.readouterr().out
    assert "kills 2, rows lost 0, twice 0, different 0" in capsys.readouterr().out


def test_each_line_has_a_result_or_a_reason(source: Path, tmp_path: Path) -> None:
    out = write_output(tmp_path / "out", ["q0", "q4"], [2, 3, 4])
    assert every_line_once(source, out) == []


@pytest.mark.parametrize(
    ("results", "failed", "problem"),
    [
        (["q0"], [2, 3, 4], "line 5: 0 results, 0 reasons"),
        (["q0", "q4", "q4"], [2, 3, 4], "line 5: 2 results, 0 reasons"),
        (["q0", "q4"], [2, 3], "line 4: 0 results, 0 reasons"),
        (["q0", "q4"], [2, 3, 4, 5], "line 5: 1 results, 1 reasons"),
        (["q0", "q4", "q9"], [2, 3, 4], "1 rows more than the input has"),
    ],
)
def test_a_row_that_is_lost_or_twice_is_noticed(
    source: Path, tmp_path: Path, results: list[str], failed: list[int], problem: str
) -> None:
    problems = every_line_once(source, write_output(tmp_path / "out", results, failed))
    assert problems[0].startswith(problem)


def test_a_file_that_differs_or_is_missing_is_named(tmp_path: Path) -> None:
    out = write_output(tmp_path / "out", ["q0"], [1])
    other = write_output(tmp_path / "other", ["q1"], [1])
    (other / "summary.json").write_text("{}")
    assert differences(out, other) == ["part-000000.jsonl", "summary.json"]
    assert differences(out, out) == []


@pytest.mark.parametrize(("score", "is_same"), [(0.5 + 1e-8, True), (0.51, False)])
def test_only_the_last_bits_of_a_score_may_differ(
    tmp_path: Path, score: float, is_same: bool
) -> None:
    folders = [tmp_path / "out", tmp_path / "other"]
    for folder, value in zip(folders, (0.5, score), strict=True):
        folder.mkdir()
        row = {"id": "q0", "results": [{"index": 0, "relevance_score": value}], "usage": {}}
        (folder / "part-000000.jsonl").write_text(json.dumps(row))
    assert (differences(*folders) == []) == is_same
