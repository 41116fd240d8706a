"""`rerankd drift --prometheus` against a real Prometheus, filled with what the service exposes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.cli import main
from app.evaluation.drift.comparing import open_client
from app.events import AnswerGiven, Event, FeedbackGiven, ModelLoaded, Ranked, TopScored
from app.metrics import Metrics
from app.model_card import ModelCard
from tests.deploy.processes import free_port, running
from tests.evaluation.drift.records import DAY, HOUR, MONDAY, WEEK, iso, verdicts

EACH_HOUR = 120
SCRAPES_AN_HOUR = 12
SHOWN = ("top_score", "score_gap", "answers_total", "feedback_total", "build_info")
NEXT = MONDAY + WEEK
NOON = "2026-11-02T12:00"
HALVES = ("--before", f"2026-11-02..{NOON}", "--after", f"{NOON}..2026-11-03", "--block", "30m")
DAYS = ("--before", "2026-11-02..2026-11-03", "--after", "2026-11-09..2026-11-10")


def events(generator: np.random.Generator, mean: float) -> Iterator[Event]:
    """Of one request."""
    scores = sorted(1 / (1 + np.exp(-generator.normal(mean, 1, 3))), reverse=True)
    yield Ranked(3, 0, 0, 0, scores)
    yield TopScored(scores[0], scores[0] - scores[1])
    knows = generator.random() < 0.9
    yield AnswerGiven("answered" if knows else "not_found", cached=False, invented=0)
    yield FeedbackGiven("up" if generator.random() < 0.8 else "down")


def day(start: float, mean: float, model: str, seed: int) -> Iterator[tuple[float, str]]:
    """What a new process exposes, scrape by scrape."""
    generator, metrics = np.random.default_rng(seed), Metrics()
    card = ModelCard(model=model, engine="openvino", takes_instruction=False)
    metrics.observe(ModelLoaded(1.0, card))
    for scrape in range(int(DAY / HOUR) * SCRAPES_AN_HOUR + 1):
        yield start + scrape * HOUR / SCRAPES_AN_HOUR, metrics.exposition("")[0].decode()
        for _ in range(EACH_HOUR // SCRAPES_AN_HOUR):
            for event in events(generator, mean):
                metrics.observe(event)


def samples(
    job: str, names: tuple[str, ...], scrapes: Iterator[tuple[float, str]]
) -> Iterator[str]:
    """Lines of OpenMetrics with a time."""
    prefixes = tuple(f"rerankd_{name}" for name in names)
    for moment, text in scrapes:
        for line in text.splitlines():
            if line.startswith(prefixes) and "_created" not in line:
                name, _, value = line.rpartition(" ")
                metric, _, labels = name.partition("{")
                inner = f'job="{job}",{labels.removesuffix("}")}'.rstrip(",")
                yield f"{metric}{{{inner}}} {value} {moment}\n"


@pytest.fixture(scope="module")
def url(tool: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Two Mondays: on the second another model gives lower scores."""
    folder = tmp_path_factory.mktemp("history")
    with (folder / "history.txt").open("w") as file:
        for start, mean, model in ((MONDAY, 0.5, "first"), (NEXT, -0.5, "second")):
            file.writelines(samples("rerankd", SHOWN, day(start, mean, model, 1)))
        file.writelines(samples("old", ("score_bucket", "score_sum"), day(MONDAY, 0.5, "first", 2)))
        file.write("# EOF\n")
    command = ["tsdb", "create-blocks-from", "openmetrics", "history.txt", "data"]
    subprocess.run([tool("promtool"), *command], cwd=folder, check=True, capture_output=True)
    (folder / "prometheus.yml").write_text("scrape_configs: []\n")
    address = f"127.0.0.1:{free_port()}"
    server = [
        tool("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=100y",
        f"--web.listen-address={address}",
    ]
    with running(server, folder / "log", f"http://{address}/-/ready"):
        yield f"http://{address}"


Drift = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def drift(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Drift:
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, dict[str, Any]]:
        code = main(["drift", "--prometheus", url, *words, "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


def by_name(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in report["quantities"]}


def test_a_shift_is_seen_in_the_buckets(drift: Drift, tmp_path: Path) -> None:
    code, report = drift(*DAYS, "--match", 'job="rerankd"')
    assert (code, report["verdict"]) == (3, "shifted")
    quantities = by_name(report)
    assert list(quantities) == ["top_score", "score_gap", "not_known", "useful"]
    top = quantities["top_score"]
    # The best of three normal logits is 0.85 above their mean.
    assert top["mean"] == pytest.approx({"before": 0.78, "after": 0.57}, abs=0.02)
    assert top["shift"]["at"] in (0.6, 0.7, 0.8)
    assert top["shift"]["kolmogorov_smirnov"] > 0.4
    assert quantities["not_known"]["mean"] == pytest.approx({"before": 0.1, "after": 0.1}, abs=0.02)
    assert quantities["useful"]["verdict"] == "steady"
    assert top["quantiles"] == {}
    assert report["warnings"] == ["model changed: first before; second after"]
    assert (tmp_path / "rerankd-drift/drift.png").exists()


def test_every_request_is_counted_once(drift: Drift) -> None:
    _, report = drift(*DAYS, "--match", 'job="rerankd"')
    requests = EACH_HOUR * DAY / HOUR
    for side in ("before", "after"):
        assert report[side]["requests"] == pytest.approx(requests, rel=0.02)
        assert by_name(report)["top_score"]["clusters"][side] == 24


def test_two_halves_of_a_day_are_steady(drift: Drift) -> None:
    code, report = drift(*HALVES, "--match", 'job="rerankd"')
    assert (code, report["verdict"]) == (0, "steady")
    assert by_name(report)["top_score"]["verdict"] == "steady"
    assert report["before"]["from"] == iso(MONDAY)[:16].replace("T", " ")


def test_the_scores_of_all_documents_stand_in_for_an_older_version(drift: Drift) -> None:
    code, report = drift(*HALVES, "--match", 'job="old"')
    assert code == 0
    assert by_name(report)["score"]["verdict"] == "steady"
    assert report["before"]["requests"] == pytest.approx(3 * EACH_HOUR * 12, rel=0.02)


def test_without_series_there_is_too_little_data(drift: Drift) -> None:
    code, report = drift(*DAYS, "--match", 'job="another"')
    assert (code, report["verdict"]) == (5, "too_little_data")


def test_a_feedback_file_adds_quality_and_not_its_own_scores(drift: Drift, tmp_path: Path) -> None:
    file = tmp_path / "feedback.jsonl"
    lines = [*verdicts(MONDAY, [2] * 24), *verdicts(NEXT, [2] * 24)]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    _, report = drift(str(file), *DAYS, "--match", 'job="rerankd"')
    quantities = by_name(report)
    assert quantities["nDCG@10"]["verdict"] == "steady"
    assert quantities["top_score"]["members"]["before"] == pytest.approx(24 * EACH_HOUR, rel=0.02)
    assert quantities["useful"]["unit"] == "question"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--match", "job="], "parse error"),
        (["--block", "5s"], "has 17280 whole blocks; --block must give 1 to 11000"),
        (["--block", "2d"], "has 0 whole blocks"),
    ],
)
def test_what_prometheus_cannot_answer_is_one_sentence(
    drift: Drift, capsys: pytest.CaptureFixture[str], words: list[str], sentence: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        drift(*DAYS, *words)
    assert ended.value.code == 1
    printed = capsys.readouterr().err
    assert sentence in printed
    assert printed.count("\n") == 1


def test_a_prometheus_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["drift", "--prometheus", "http://127.0.0.1:1", *DAYS])
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("rerankd: http://127.0.0.1:1: ")


def test_a_page_that_is_no_answer_of_prometheus_is_named(
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["drift", "--prometheus", f"{url}/nothing", *DAYS])
    assert ended.value.code == 1
    assert "not with JSON" in capsys.readouterr().err


def test_the_token_for_prometheus_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("abc\n")
    with open_client("https://prometheus.example/base", file) as client:
        request = client.build_request("POST", "api/v1/query")
    assert request.headers["Authorization"] == "Bearer abc"
    assert str(request.url) == "https://prometheus.example/base/api/v1/query"
