"""Each command as a user runs it, on real data and with the bundled model."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.cli import main
from app.commands.finetune import measure
from app.evaluation.study import Study
from app.rerank.calibration import read_calibration
from app.settings import Settings
from tests.evaluation.conftest import HANDBOOK, WriteLines

SMALL = ["--sample", "10", "--initial-k", "6"]

Run = Callable[..., Any]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """What a command printed as JSON, run in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> Any:
        assert main([*map(str, words), "--json"]) == 0
        printed = capsys.readouterr()
        assert "it/s" not in printed.err  # no bar without a terminal
        return json.loads(printed.out)

    return call


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def call(*words: object) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main([*map(str, words)])
        return int(str(ended.value.code)), capsys.readouterr().err

    return call


def test_eval_measures_the_bundled_model(run: Run, tmp_path: Path) -> None:
    report = run("eval", HANDBOOK, *SMALL)
    assert report["model"] == "rerankd-minilm"
    assert report["queries"] == 10
    assert report["measures"]["nDCG@10"]["after"] > 0.2
    assert (tmp_path / "rerankd-eval/worse.md").exists()


def test_the_same_seed_gives_the_same_figures(run: Run, small_model: Path) -> None:
    words = ["eval", HANDBOOK, "--model", small_model, "--sample", 20]
    first = run(*words, "--seed", 1)["measures"]
    assert run(*words, "--seed", 1, "--concurrency", 3)["measures"] == first
    assert run(*words, "--seed", 2)["measures"] != first


def test_eval_takes_a_first_stage_of_ones_own(
    run: Run, write_lines: WriteLines, small_model: Path
) -> None:
    lines = [
        {"query": f"q {n}", "documents": ["a", "bb", "ccc"], "relevant": [2]} for n in range(4)
    ]
    report = run("eval", write_lines("mine.jsonl", *lines), "--model", small_model, "--k", 1)
    assert report["model"] == "small-bert"
    assert report["measures"]["success@1"]["before"] == 0
    ranks = write_lines("my.run", *(f"q{n:02} Q0 h40 1 1 me" for n in range(1, 45)))
    report = run("eval", HANDBOOK, "--run", ranks, "--model", small_model)
    assert report["measures"]["MAP"]["before"] == report["measures"]["MAP"]["after"] == 1 / 44


def test_sweep_writes_a_table_a_picture_and_a_page(
    run: Run, small_model: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(small_model, tmp_path / "other-bert")
    models = f"{other},{small_model}"
    report = run(
        "sweep", HANDBOOK, "--sample", 6, "--models", models, "--initial-k", "2,4", "--final-k", "1"
    )
    assert [(point["model"], point["initial_k"]) for point in report["points"]] == [
        (None, None),
        ("other-bert", 2),
        ("other-bert", 4),
        ("small-bert", 2),
        ("small-bert", 4),
    ]
    assert report["advice"][0].startswith("For final_k 1, ")
    names = sorted(path.name for path in (tmp_path / "rerankd-sweep").iterdir())
    assert names == ["sweep.html", "sweep.json", "sweep.png"]


def test_sweep_prints_what_a_prefilter_costs(run: Run) -> None:
    report = run(
        "sweep", HANDBOOK, "--sample", 6, "--initial-k", "2,6", "--final-k", 1, "--prefilter", 3
    )
    points = [(point["model"], point["initial_k"]) for point in report["points"]]
    assert points == [
        (None, None),
        ("rerankd-minilm", 2),
        ("rerankd-minilm", 6),
        ("rerankd-minilm, prefilter 3", 6),
    ]


def test_sweep_refuses_a_prefilter_that_the_model_does_not_have(
    refusal: Callable[..., tuple[int, str]], small_model: Path
) -> None:
    words = ["sweep", HANDBOOK, "--sample", 2, "--models", small_model, "--prefilter", 3]
    code, message = refusal(*words)
    assert code == 1
    assert "small-bert has no prefilter" in message


def test_calibrate_writes_what_the_service_reads(run: Run, tmp_path: Path) -> None:
    report = run("calibrate", HANDBOOK, "--sample", 20, "--initial-k", 8)
    assert report["error_after"] < 0.15
    assert (tmp_path / "calibration.png").exists()
    curve = read_calibration(tmp_path / "calibration.json", "rerankd-minilm")
    assert 0 <= curve(-3) < curve(6) <= 1


@pytest.fixture
def pairs(write_lines: WriteLines) -> Path:
    rivers = ["Danube", "Rhine", "Volga", "Loire"]
    lines = [
        {
            "query": f"where is the {river} {n}",
            "positive": f"{river} {n}",
            "negative": f"a hill {n}",
        }
        for n in range(4)
        for river in rivers
    ]
    return write_lines("pairs.jsonl", *lines)


def test_finetune_leaves_a_folder_that_is_served(
    run: Run, pairs: Path, write_lines: WriteLines, small_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tuned"
    report = run("finetune", pairs, "--model", small_model, "--out", out, "--epochs", 1)
    assert report["model_after"] == "tuned"
    assert report["test_queries"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.jsonl", "tuned"]
    shown = run("rerank", "where", write_lines("two.txt", "a", "b"), "--model", out)
    assert shown["model"] == "tuned"


def test_what_was_trained_stays_when_the_last_measurement_is_interrupted(
    run: Run,
    refusal: Callable[..., tuple[int, str]],
    pairs: Path,
    write_lines: WriteLines,
    small_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def interrupted(settings: Settings, *rest: Any) -> Study:
        if settings.model_name == "tuned":
            raise KeyboardInterrupt
        return await measure(settings, *rest)

    monkeypatch.setattr("app.commands.finetune.measure", interrupted)
    monkeypatch.chdir(tmp_path)
    words = ["finetune", pairs, "--model", small_model, "--out", "tuned", "--epochs", 1]
    assert refusal(*words) == (130, "rerankd: interrupted\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.jsonl", "tuned"]
    shown = run("rerank", "where", write_lines("two.txt", "a", "b"), "--model", "tuned")
    assert shown["model"] == "tuned"


@pytest.mark.parametrize("command", ["eval", "sweep", "calibrate", "finetune"])
def test_bad_data_is_told_in_one_sentence(
    command: str, refusal: Callable[..., tuple[int, str]], write_lines: WriteLines, tmp_path: Path
) -> None:
    data = write_lines("bad.jsonl", {"query": "a"})
    code, message = refusal(command, data, "--out", tmp_path / "out")
    assert code == 2
    assert message.count("\n") == 1
    assert message.startswith(f"rerankd: {data}, line 1: ")
    assert not (tmp_path / "out").exists()


def test_a_missing_extra_is_told_with_what_installs_it(
    refusal: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "app.evaluation.first_stage", raising=False)
    monkeypatch.setitem(sys.modules, "bm25s", None)
    code, message = refusal("eval", HANDBOOK)
    assert (code, message) == (1, "rerankd: bm25s is missing: pip install 'rerankd[eval]'\n")


def test_a_missing_package_of_fine_tuning_is_named_with_its_own_extra(
    refusal: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delitem(sys.modules, "app.evaluation.first_stage", raising=False)
    monkeypatch.setitem(sys.modules, "bm25s", None)
    code, message = refusal("finetune", HANDBOOK, "--out", tmp_path / "out")
    assert (code, message) == (1, "rerankd: bm25s is missing: pip install 'rerankd[train]'\n")


def test_a_service_that_is_not_there_is_named(refusal: Callable[..., tuple[int, str]]) -> None:
    code, message = refusal("eval", HANDBOOK, "--url", "http://127.0.0.1:1")
    assert code == 1
    assert message.startswith("rerankd: http://127.0.0.1:1: ")


def test_a_url_and_models_exclude_each_other(refusal: Callable[..., tuple[int, str]]) -> None:
    code, message = refusal("sweep", HANDBOOK, "--url", "http://x", "--models", "a")
    assert code == 2
    assert "exclude each other" in message


@pytest.mark.parametrize(
    ("flag", "value"), [("--initial-k", "0"), ("--sample", "-1"), ("--k", "none")]
)
def test_a_number_out_of_range_is_refused(
    refusal: Callable[..., tuple[int, str]], flag: str, value: str
) -> None:
    code, message = refusal("eval", HANDBOOK, flag, value)
    assert code == 2
    assert flag in message
